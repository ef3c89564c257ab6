// A GraphQL server from a package as a site, and clients from packages against the endpoint in front of it:
// `node --import localhost.mjs graphql.mjs`. It says the site's address, reads the endpoint's, and says a line for each trial.
import { createServer } from "node:http";
import { createInterface } from "node:readline";
import { ApolloClient, ApolloLink, HttpLink, InMemoryCache, gql } from "@apollo/client";
import { PersistedQueryLink } from "@apollo/client/link/persisted-queries";
import { Client, fetchExchange, gql as urqlGql } from "@urql/core";
import { buildSchema } from "graphql";
import { serverAudits } from "graphql-http";
import { createHandler } from "graphql-http/lib/use/http";
import { createHash } from "node:crypto";

const say = (what) => console.log(JSON.stringify(what));

const schema = buildSchema(`
  type Query { post(id: ID!): Post posts(first: Int = 2): [Post!]! }
  type Mutation { rename(id: ID!, title: String!): Post! }
  type Post { id: ID! title: String! }
`);
const titles = new Map([["1", "Hello world!"], ["2", "Ünïcödé 東京"]]);
const post = (id) => (titles.has(id) ? { id, title: titles.get(id) } : null);
const rootValue = {
  post: ({ id }) => post(id),
  posts: ({ first }) => [...titles.keys()].slice(0, first).map(post),
  rename: ({ id, title }) => (titles.set(id, title), post(id)),
};
const site = createServer(createHandler({ schema, rootValue }));
site.listen(0, "127.0.0.1", () => say({ site: `http://127.0.0.1:${site.address().port}/graphql` }));

const FIELDS = "query P($first: Int) { posts(first: $first) { id title } }";
const RENAME = "mutation R($id: ID!, $title: String!) { rename(id: $id, title: $title) { id title } }";

async function urql(url, options) {
  const client = new Client({ url, exchanges: [fetchExchange], ...options });
  const read = await client.query(urqlGql(FIELDS), { first: 1 }).toPromise();
  const written = await client.mutation(urqlGql(RENAME), { id: "1", title: "By urql" }).toPromise();
  const wrong = await client.query(urqlGql("{ nothing }"), {}).toPromise();
  return { read: read.data?.posts?.length, written: written.data?.rename?.title, wrong: wrong.error?.graphQLErrors?.length };
}

async function apollo(uri, persisted) {
  const http = new HttpLink({ uri });
  const sha256 = (text) => createHash("sha256").update(text).digest("hex");
  const link = persisted
    ? ApolloLink.from([new PersistedQueryLink({ sha256, useGETForHashedQueries: true }), http])
    : http;
  const client = new ApolloClient({ link, cache: new InMemoryCache() });
  const read = await client.query({ query: gql(FIELDS), variables: { first: 1 }, fetchPolicy: "network-only" });
  const written = await client.mutate({ mutation: gql(RENAME), variables: { id: "1", title: "By Apollo" } });
  const wrong = await client.query({ query: gql("{ nothing }"), errorPolicy: "all" });
  return { read: read.data?.posts?.length, written: written.data?.rename?.title, wrong: wrong.error?.errors?.length };
}

for await (const url of createInterface({ input: process.stdin })) {
  for (const audit of serverAudits({ url })) {
    const result = await audit.fn();
    say({ audit: audit.id, name: audit.name, status: result.status, reason: result.reason ?? null });
  }
  const clients = {
    urql: () => urql(url, {}),
    "urql by GET": () => urql(url, { preferGetMethod: "force" }),
    "Apollo Client": () => apollo(url, false),
    "Apollo Client, persisted": () => apollo(url, true),
  };
  for (const [client, run] of Object.entries(clients)) {
    say({ client, ...(await run().catch((error) => ({ failed: String(error.stack ?? error) }))) });
  }
  say({ done: true });
}
