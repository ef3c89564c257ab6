//! A WordPress site whose nodes have versions: what it answers is what it has at that moment, tagged as WPGraphQL tags it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use super::site::{Site, SiteAnswer, SiteRequest};

#[derive(Default)]
struct State {
    versions: BTreeMap<u64, u64>,
    delay: Duration,
    fails: bool,
    headers: Vec<(String, String)>,
}

/// A site with posts that have versions. `{post(id:N){version}}` is one of them, `{posts{nodes{version}}}` all of them.
#[derive(Clone)]
pub struct Content {
    pub site: Site,
    state: Arc<Mutex<State>>,
}

impl Content {
    /// A site with these posts, each in its first version.
    pub fn of(posts: impl IntoIterator<Item = u64>) -> Content {
        let state = Arc::new(Mutex::new(State::default()));
        state.lock().unwrap().versions = posts.into_iter().map(|post| (post, 1)).collect();
        let says = Arc::clone(&state);
        Content { site: Site::saying(move |request| answer(&says, request)), state }
    }

    /// Another version of a post.
    pub fn change(&self, post: u64) -> u64 {
        let mut state = self.state.lock().unwrap();
        let version = state.versions.entry(post).or_insert(0);
        *version += 1;
        *version
    }

    pub fn delete(&self, post: u64) {
        self.state.lock().unwrap().versions.remove(&post);
    }

    /// It thinks so long after it has read what it says.
    pub fn slow(&self, delay: Duration) {
        self.state.lock().unwrap().delay = delay;
    }

    pub fn fails(&self, fails: bool) {
        self.state.lock().unwrap().fails = fails;
    }

    /// It says this, too.
    pub fn with(&self, name: &str, value: &str) {
        self.state.lock().unwrap().headers.push((name.into(), value.into()));
    }

    /// How often it was asked.
    pub fn executions(&self) -> usize {
        self.site.asked().len()
    }
}

/// A post by its id.
pub fn post(id: u64) -> String {
    format!("{{post(id:{id}){{version}}}}")
}

/// All posts.
pub const POSTS: &str = "{posts{nodes{version}}}";

/// The Relay id of a post.
pub fn relay(id: u64) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(format!("post:{id}"))
}

/// The version of a post that an answer shows.
pub fn version(body: &str) -> Option<u64> {
    serde_json::from_str::<Value>(body).unwrap()["data"]["post"]["version"].as_u64()
}

fn answer(state: &Mutex<State>, request: &SiteRequest) -> SiteAnswer {
    let document = request.document();
    let id = document.split("post(id:").nth(1).and_then(|rest| rest.split(')').next()?.parse::<u64>().ok());
    let (data, keys, delay, fails, headers) = {
        let state = state.lock().unwrap();
        let (data, keys) = match id {
            Some(id) => match state.versions.get(&id) {
                Some(version) => (json!({"post": {"version": version}}), relay(id)),
                None => (json!({"post": null}), String::new()),
            },
            None => {
                let nodes: Vec<Value> = state.versions.values().map(|version| json!({"version": version})).collect();
                let ids: Vec<String> = state.versions.keys().map(|id| relay(*id)).collect();
                (json!({"posts": {"nodes": nodes}}), format!("list:post {}", ids.join(" ")))
            }
        };
        (data, keys, state.delay, state.fails, state.headers.clone())
    };
    if fails {
        return SiteAnswer::json(500, r#"{"errors":[{"message":"Internal server error"}]}"#);
    }
    let answer = SiteAnswer::json(200, json!({ "data": data }).to_string());
    let answer = answer.with("X-GraphQL-Keys", &format!("queryid graphql:Query {keys}"));
    headers.iter().fold(answer, |answer, (name, value)| answer.with(name, value)).after(delay)
}
