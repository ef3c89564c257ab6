//! Tags of cached answers and of purges: no header and no webhook breaks their readers or makes more of them than is bound, and
//! an answer is ended by a purge of whatever it is tagged with, and by the change of a node that it shows.
#![no_main]

use std::collections::BTreeSet;

use domain::graphql_cache::{AnsweredDocument, ContentChange, MAX_TAGS, PurgeTags, Tag, answer_tags};
use libfuzzer_sys::fuzz_target;

/// What a header is made of; a number beyond them is a text of its own.
const KEYS: [&str; 12] = [
    "graphql:Query",
    "list:post",
    "list:product",
    "skipped:post",
    "skipped:",
    "*lists",
    "operation:Op",
    "cG9zdDox",
    "dGVybTo1",
    "c2V0dGluZ19ncm91cDo=",
    " \t",
    "\u{e9}",
];
/// Types by the names of WordPress, and the kinds of their nodes.
const TYPES: [(&str, &str); 6] = [
    ("post", "post"),
    ("Page", "post"),
    ("category", "term"),
    ("nav_menu_item", "post"),
    ("user", "user"),
    ("comment", "comment"),
];
/// Tags that a webhook may name beside its keys, and the kinds in them.
const BESIDE: usize = 12;

fn ends(purge: &PurgeTags, tags: &[Tag]) -> bool {
    let purged = purge.clone().into_tags();
    tags.iter().any(|tag| purged.contains(tag))
}

/// The purge of one of an answer's tags, if the API or a webhook can name it.
fn purge_of(tag: &Tag, document: AnsweredDocument<'_>) -> Option<PurgeTags> {
    let none = PurgeTags::default();
    Some(match (tag.as_str().split_once(':'), Tag::parse(tag.as_str())) {
        (_, Ok(key)) => none.key(key),
        (Some(("*document", digest)), _) => none.document(digest),
        (Some(("*nodes", kind @ ("post" | "term" | "user" | "comment" | "setting_group"))), _) => none.kind(kind),
        // Of no type that a site could name.
        (Some(("*nodes", _)), _) => return None,
        (None, _) if tag.as_str() == "*lists" => none.kind("product"),
        (None, _) if tag.as_str() == "*connections" => {
            assert!(document.nests_connections);
            none.change(ContentChange { node_type: "post", action: "CREATE", id: Some("1") })
        }
        _ => none.key(Tag::stored("anything")),
    })
}

fn check_answer(header: &str, tags: Option<&[Tag]>, document: AnsweredDocument<'_>) {
    let keys: BTreeSet<Tag> = header.split_ascii_whitespace().filter_map(|key| Tag::parse(key).ok()).collect();
    let Some(tags) = tags else {
        assert!(2 * keys.len() + BESIDE > MAX_TAGS, "{} keys are not too many", keys.len());
        return;
    };
    assert!(tags.len() <= MAX_TAGS && tags.iter().collect::<BTreeSet<_>>().len() == tags.len());
    assert!(keys.iter().all(|key| tags.contains(key)));
    for tag in tags {
        assert!(purge_of(tag, document).is_none_or(|purge| ends(&purge, &[tag.clone()])), "{tag:?}");
    }
    assert!(ends(&PurgeTags::everything(), tags));
    assert!(document.operation.is_none_or(|name| ends(&PurgeTags::default().operation(name), tags)));
    let stored = serde_json::to_string(tags).unwrap();
    assert_eq!(serde_json::from_str::<Vec<Tag>>(&stored).unwrap(), tags);
}

/// What a webhook says of a change: its keys, the node's type and id, and what happened.
type Webhook<'a> = (Option<Vec<&'a str>>, &'a str, Option<&'a str>, &'a str);

fn check_webhook((keys, node_type, id, action): Webhook<'_>) {
    let _ = (ContentChange::id_names(node_type), Tag::of_node(node_type));
    if let Some(Ok(node)) = id.map(Tag::of_node) {
        assert_eq!(Tag::parse(node.as_str()), Ok(node));
    }
    let keys: Option<Vec<Tag>> = keys.map(|keys| keys.into_iter().filter_map(|key| Tag::parse(key).ok()).collect());
    let purge = PurgeTags::of_webhook(keys.as_deref(), ContentChange { node_type, action, id }).into_tags();
    match &keys {
        Some(keys) if keys.is_empty() => assert!(purge.is_empty()),
        _ => assert!(purge.contains(&Tag::stored("*nothing"))),
    }
    let keys = keys.unwrap_or_default();
    assert!(keys.iter().all(|key| purge.contains(key)));
    assert!(purge.len() <= 2 * keys.len() + BESIDE, "{} keys make {} tags", keys.len(), purge.len());
}

/// An answer that shows a node ends with the node's change, and so does one whose list of nodes was cut off.
fn check_node(header: &str, (of, number): (u8, u32), action: &str, document: AnsweredDocument<'_>) {
    let (name, kind) = TYPES[usize::from(of) % TYPES.len()];
    let id = number.to_string();
    let change = ContentChange { node_type: name, action, id: Some(&id) };
    let node = Tag::of_node(&format!("{name}:{id}")).unwrap();
    for key in [node.as_str(), &format!("skipped:{kind}")] {
        let Some(tags) = answer_tags(Some(&format!("{header} {key}")), document, false) else { continue };
        let named = [node.clone()];
        for purge in [PurgeTags::of_webhook(None, change), PurgeTags::of_webhook(Some(&named), change)] {
            assert!(ends(&purge, &tags), "{name} {id}");
        }
        assert!(ends(&PurgeTags::default().kind(name), &tags), "{name}");
    }
}

fuzz_target!(|input: (Vec<(u8, &str)>, u16, (bool, bool, bool), Webhook<'_>, (u8, u32))| {
    let (words, many, (is_named, nests_connections, found_nothing), webhook, node) = input;
    let words = words.into_iter().map(|(n, own)| KEYS.get(usize::from(n) % 16).copied().unwrap_or(own).to_owned());
    let numbered = (0..many % 1_100).map(|n| format!("key{n}"));
    let header = words.chain(numbered).collect::<Vec<_>>().join(" ");
    let document = AnsweredDocument { operation: is_named.then_some("Op"), digest: "d1", nests_connections };
    check_answer(&header, answer_tags(Some(&header), document, found_nothing).as_deref(), document);
    check_answer("", answer_tags(None, document, found_nothing).as_deref(), document);
    check_node(&header, node, webhook.3, document);
    check_webhook(webhook);
});
