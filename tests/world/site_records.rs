//! What WPGraphQL 2.20 with Smart Cache 2.3 said to documents: recorded from a site with two posts more than a new one has.

use super::site::SiteAnswer;

/// A document, and what was said to it.
pub struct Recorded {
    pub document: &'static str,
    pub status: u16,
    /// The id that the site gives the document.
    pub id: &'static str,
    /// What the response is made of, as tags.
    pub keys: &'static str,
    /// `data` or `errors`.
    pub body: &'static str,
}

const fn data(document: &'static str, id: &'static str, keys: &'static str, body: &'static str) -> Recorded {
    Recorded { document, status: 200, id, keys, body }
}

pub const RECORDED: &[Recorded] = &[
    data(
        "{posts{nodes{id}}}",
        "dfe425b27d55741fdf579d139ddd64a388a9db3c402a1d72529d0189589356fa",
        "graphql:Query list:post cG9zdDox cG9zdDo1 cG9zdDo0",
        r#""data":{"posts":{"nodes":[{"id":"cG9zdDox"},{"id":"cG9zdDo1"},{"id":"cG9zdDo0"}]}}"#,
    ),
    data(
        "{post(id:\"from-cli\",idType:SLUG){id databaseId title status}}",
        "77d73238fcf884eda01bc0c8adcaf270392b67950990882948398fdad9e8667a",
        "graphql:Query cG9zdDo0",
        r#""data":{"post":{"id":"cG9zdDo0","databaseId":4,"title":"From CLI","status":"publish"}}"#,
    ),
    data(
        "{pages{nodes{id title}}}",
        "a8df9073407e129199ab540cb8a6413c72b2640ac8f36361486abe4dfb856257",
        "graphql:Query list:page cG9zdDoy",
        r#""data":{"pages":{"nodes":[{"id":"cG9zdDoy","title":"Sample Page"}]}}"#,
    ),
    data(
        "{post(id:\"does-not-exist\",idType:SLUG){id}}",
        "bdf456b9d568774b9f4c2cb7b0f7906379b06cea72ebac1eb4de4dabdb1aa5f6",
        "graphql:Query",
        r#""data":{"post":null}"#,
    ),
    data(
        "{__typename}",
        "8d8f7365e9e86fa8e3313fcaf2131b801eafe9549de22373089cf27511858b39",
        "graphql:Query",
        r#""data":{"__typename":"RootQuery"}"#,
    ),
    data(
        "{posts{nodes{id nope}}}",
        "f72a48b8040913645aa7b6330f12372a2e85635f5bb0746337d047f770134bf4",
        "graphql:Query list:post",
        r#""errors":[{"message":"Cannot query field \"nope\" on type \"Post\".","locations":[{"line":1,"column":17}]}]"#,
    ),
    data(
        "{__schema{queryType{name}}}",
        "262466fb7d11101877294f93c5b784f0def298223a859258ecacc60c6a4cc041",
        "graphql:Query",
        r#""errors":[{"message":"The query contained __schema or __type, however GraphQL introspection is not allowed for public requests by default. Public introspection can be enabled under the WPGraphQL Settings.","locations":[{"line":1,"column":2}]}]"#,
    ),
];

/// What follows `data` or `errors`.
const EXTENSIONS: &str = r#""extensions":{"debug":[{"type":"DEBUG_LOGS_INACTIVE","message":"GraphQL Debug logging is not active. To see debug logs, GRAPHQL_DEBUG must be enabled."}],"graphqlSmartCache":{"graphqlObjectCache":[]}}"#;

impl Recorded {
    /// The body as the site sends it.
    pub fn text(&self) -> String {
        format!("{{{},{EXTENSIONS}}}", self.body)
    }
}

/// What a site says to a document; for one that was not recorded, an empty `data`.
pub fn answer(document: &str) -> SiteAnswer {
    let Some(recorded) = RECORDED.iter().find(|recorded| recorded.document == document) else {
        return with_headers(SiteAnswer::json(200, format!("{{\"data\":{{}},{EXTENSIONS}}}")), "", "graphql:Query");
    };
    let keys = format!("{} {}", recorded.id, recorded.keys);
    with_headers(SiteAnswer::json(recorded.status, recorded.text()), recorded.id, &keys)
}

fn with_headers(mut answer: SiteAnswer, id: &str, keys: &str) -> SiteAnswer {
    let headers = [
        ("X-Powered-By", "PHP/8.2.35"),
        ("Access-Control-Allow-Origin", "*"),
        ("Access-Control-Allow-Headers", "Authorization, Content-Type"),
        ("Access-Control-Max-Age", "600"),
        ("X-Robots-Tag", "noindex"),
        ("X-Content-Type-Options", "nosniff"),
        ("X-GraphQL-URL", "127.0.0.1:9403/graphql"),
        ("X-GraphQL-Query-ID", id),
        ("X-GraphQL-Keys", keys),
    ];
    let headers = headers.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
    answer.headers.splice(0..0, headers);
    answer
}
