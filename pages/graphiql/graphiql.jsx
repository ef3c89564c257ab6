// GraphiQL on the tenant's own endpoint. Its footer tells what the cache said of the last answer.
import { GraphiQL } from "graphiql";
import { useMemo, useState } from "react";
import { createRoot } from "react-dom/client";
import "graphiql/style.css";
import "./page.css";

/** Parameters of the page are those of its requests: a tenant may pass some of them on to its site. */
const ENDPOINT = `/graphql${location.search}`;

/** GraphiQL's own question for the schema. Its answer is nobody's who looks at the page. */
const INTROSPECTION = "IntrospectionQuery";

const MEANINGS = {
  HIT: "A kept answer: the site was not asked.",
  STALE: "A kept answer whose time is over.",
  MISS: "The site was asked, and its answer is kept from now on.",
  PASS: "The site was asked, and its answer is not kept.",
};

/** Asks the endpoint by POST, and tells what its answer says of itself. */
function fetcherOf(tell) {
  return async (body, options) => {
    const began = performance.now();
    const headers = { "Content-Type": "application/json", ...options?.headers };
    const response = await fetch(ENDPOINT, { method: "POST", headers, body: JSON.stringify(body), redirect: "error" });
    const shown = await response.json();
    if (body.operationName !== INTROSPECTION) {
      const [verdict, age] = ["X-Carillon-Cache", "Age"].map((name) => response.headers.get(name));
      tell({ verdict, age, status: response.status, milliseconds: Math.round(performance.now() - began) });
    }
    return shown;
  };
}

function Verdict({ of }) {
  if (!of) return <p role="status">Ask a query, and this line tells whether its answer was a kept one.</p>;
  const { verdict, age, status, milliseconds } = of;
  return (
    <p role="status">
      <strong>{verdict ?? "No verdict"}</strong>
      <span>{verdict ? MEANINGS[verdict.split(";")[0]] : "The cache was not asked."}</span>
      {age !== null && <span>Age {age} s</span>}
      <span>Status {status}</span>
      <span>{milliseconds} ms</span>
    </p>
  );
}

function Page() {
  const [told, tell] = useState(null);
  const fetcher = useMemo(() => fetcherOf(tell), []);
  return (
    <GraphiQL fetcher={fetcher} defaultEditorToolsVisibility="variables">
      <GraphiQL.Footer>
        <Verdict of={told} />
      </GraphiQL.Footer>
    </GraphiQL>
  );
}

createRoot(document.getElementById("graphiql")).render(<Page />);
