//! What a mutation may have changed, by its answer.

use std::collections::BTreeSet;

use serde_json::Value;

use super::tags::{PurgeTags, Tag};

/// Most nodes that one mutation's answer names.
const MAX_NODES: usize = 20;
/// The fields of WPGraphQL that hold ids of nodes. Where a document gives another field such a name, whoever wrote it says what
/// stands there.
pub const ID_FIELDS: [&str; 2] = ["id", "deletedId"];

impl PurgeTags {
    /// What ends with the nodes whose ids stand in the answer to a mutation; empty if it shows none.
    pub fn of_mutation(body: &str) -> Self {
        let Ok(answer) = serde_json::from_str::<Value>(body) else { return Self::default() };
        let mut nodes = BTreeSet::new();
        if let Some(data) = answer.get("data") {
            collect(data, &mut nodes);
        }
        nodes.into_iter().fold(Self::default(), Self::key)
    }
}

fn collect(value: &Value, nodes: &mut BTreeSet<Tag>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect(item, nodes)),
        Value::Object(members) => {
            for (name, member) in members {
                let id = member.as_str().filter(|_| ID_FIELDS.contains(&name.as_str()));
                let node = id.and_then(|id| Tag::of_node(id).ok());
                nodes.extend(node.filter(|_| nodes.len() < MAX_NODES));
                collect(member, nodes);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;

    fn ended(answer: &Value) -> Vec<Tag> {
        PurgeTags::of_mutation(&answer.to_string()).into_tags()
    }

    #[test]
    fn the_nodes_that_an_answer_shows_are_ended() {
        let post = "cG9zdDox";
        let shown = json!({"data": {"updatePost": {"post": {"id": post, "author": {"node": {"id": "dXNlcjox"}}}}}});
        let expected = PurgeTags::default().key(Tag::parse(post).unwrap()).key(Tag::parse("dXNlcjox").unwrap());
        assert_eq!(ended(&shown), expected.into_tags());
        let deleted = json!({"data": {"deletePost": {"deletedId": post}}});
        assert_eq!(ended(&deleted), PurgeTags::default().key(Tag::parse(post).unwrap()).into_tags());
    }

    #[test]
    fn what_is_no_node_ends_nothing() {
        for answer in [
            json!({"data": {"a": {"id": "*all"}}}),
            json!({"data": {"a": {"id": "not an id", "name": "cG9zdDox"}}}),
            json!({"data": {"id": 7}}),
            json!({"errors": [{"id": "cG9zdDox"}], "data": null}),
            json!([]),
        ] {
            assert_eq!(ended(&answer), [], "{answer}");
        }
        assert!(PurgeTags::of_mutation("{").is_empty());
        let many: Vec<Value> = (0..1_000).map(|id| json!({"id": format!("post:{id}")})).collect();
        assert!(ended(&json!({"data": {"a": many}})).len() <= MAX_NODES + 10);
    }
}
