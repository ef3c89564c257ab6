//! Tags: what an answer is of, and what a purge names. They are the keys that WPGraphQL sends in `X-GraphQL-Keys`, and some that
//! are derived from them here and begin with `*`, which no key of a site may.
//!
//! What is purged is more than what the site names, because what the site names is known to be too little: an answer that
//! found nothing carries no key of what it did not find, a truncated header lacks ids, and a deletion moves the pages of lists
//! that did not show what was deleted.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::error::Invalid;

/// Most tags of an answer that is kept.
pub const MAX_TAGS: usize = 1_000;
/// The longest tag, in bytes.
const MAX_BYTES: usize = 256;

/// Answers that are ended by whatever is purged: they found nothing, or nothing says what they are of.
const FOUND_NOTHING: &str = "*nothing";
/// Answers that show a list of whatever type.
const LISTS: &str = "*lists";
/// Answers that show a connection below the root: the comments of a post, the posts of an author. WPGraphQL gives no key of them.
const CONNECTIONS: &str = "*connections";
/// What every answer carries: WPGraphQL's own name for all.
const EVERYTHING: &str = "graphql:Query";

/// A tag.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tag(Box<str>);

impl Tag {
    /// Reads a key that a site or a client names.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        if text.is_empty() || text.len() > MAX_BYTES || !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(Invalid::new(
                "invalid_key",
                "must be a key of 1 to 256 letters, digits and signs of ASCII, without blanks",
            ));
        }
        if text.starts_with('*') {
            return Err(Invalid::new("invalid_key", "must not begin with *"));
        }
        Ok(Self::of(text))
    }

    /// Reads a node's id: its Relay id, or the kind and the number that it stands for, such as `post:7`.
    pub fn of_node(text: &str) -> Result<Self, Invalid> {
        let number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let spelt_out = text.split_once(':').filter(|(_, id)| number(id));
        match spelt_out.map(|(name, id)| (named_kind(&name.to_ascii_lowercase()), id)) {
            Some((Some(kind), id)) => Self::parse(&STANDARD.encode(format!("{kind}:{id}"))),
            None if node_kind(text).is_some() => Self::parse(text),
            _ => {
                let told = "must be a Relay id such as cG9zdDo3, or a type of WordPress and a number: post:7, page:7, attachment:7, \
                            category:5, tag:5, term:5, menu:5, menu_item:7, user:1, comment:3";
                Err(Invalid::new("invalid_id", told))
            }
        }
    }

    /// A tag as it was stored.
    pub fn stored(text: &str) -> Self {
        Self::of(text)
    }

    fn of(text: &str) -> Self {
        Self(text.into())
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Of all answers to operations of a name.
    fn operation(name: &str) -> Self {
        Self(format!("operation:{name}").into())
    }

    /// Of all answers to a document, by the digest of its normal form.
    fn document(digest: &str) -> Self {
        Self(format!("*document:{digest}").into())
    }

    /// Of all answers that show a node of a kind, or may: `post` for what WordPress keeps as posts, `term`, `user`, `comment`.
    fn nodes(kind: &str) -> Self {
        Self(format!("*nodes:{kind}").into())
    }
}

/// The kind of node that a Relay id of WPGraphQL names: `post` for `cG9zdDox`, which is `post:1` in base64.
fn node_kind(key: &str) -> Option<String> {
    let decoded = STANDARD.decode(key).ok().and_then(|bytes| String::from_utf8(bytes).ok())?;
    let (kind, id) = decoded.split_once(':')?;
    let is_kind = !kind.is_empty() && kind.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    (is_kind && !id.is_empty()).then(|| kind.to_owned())
}

/// What an answer is tagged with beside the site's keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnsweredDocument<'a> {
    /// The name of the operation.
    pub operation: Option<&'a str>,
    /// The digest of the document.
    pub digest: &'a str,
    /// Whether it asks for a connection below the root.
    pub nests_connections: bool,
}

/// The tags of an answer. `keys` is what the site sent in `X-GraphQL-Keys`; `found_nothing` says that a field at the root is
/// null. None if there are more than may be kept.
pub fn answer_tags(keys: Option<&str>, document: AnsweredDocument<'_>, found_nothing: bool) -> Option<Vec<Tag>> {
    let AnsweredDocument { operation, digest, nests_connections } = document;
    let mut tags = BTreeSet::from([Tag::of(EVERYTHING), Tag::document(digest)]);
    tags.extend(operation.map(Tag::operation));
    tags.extend(nests_connections.then(|| Tag::of(CONNECTIONS)));
    let mut is_of_something = false;
    for key in keys.unwrap_or_default().split_ascii_whitespace() {
        let Ok(tag) = Tag::parse(key) else { continue };
        if key.starts_with("list:") {
            tags.insert(Tag::of(LISTS));
        }
        let skipped = key.strip_prefix("skipped:").map(str::to_owned);
        let kind = skipped.or_else(|| node_kind(key));
        is_of_something |= kind.is_some() || key.starts_with("list:");
        tags.extend(kind.map(|kind| Tag::nodes(&kind)));
        tags.insert(tag);
        if tags.len() > MAX_TAGS {
            return None;
        }
    }
    if found_nothing || !is_of_something {
        tags.insert(Tag::of(FOUND_NOTHING));
    }
    (tags.len() <= MAX_TAGS).then(|| tags.into_iter().collect())
}

/// What a webhook says has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContentChange<'a> {
    /// `post`, `page`, `category`, …, as the site names it.
    pub node_type: &'a str,
    /// `CREATE`, `UPDATE`, `DELETE`, or another name that the site uses.
    pub action: &'a str,
    /// The node, by its Relay id or by its number in the site's database.
    pub id: Option<&'a str>,
}

impl ContentChange<'_> {
    /// Whether nodes may have come to lists or left them. A comment that is approved is an update of it, and comes.
    fn moves_lists(&self) -> bool {
        !self.action.eq_ignore_ascii_case("UPDATE") || self.kind_name() == "comment"
    }

    fn kind_name(&self) -> String {
        self.node_type.to_ascii_lowercase()
    }

    /// Names by which payloads tell the id of a node of this type, the surest first.
    pub fn id_names(node_type: &str) -> [&'static str; 5] {
        match named_kind(&node_type.to_ascii_lowercase()).unwrap_or_default() {
            "comment" => ["databaseId", "database_id", "comment_ID", "comment_id", "id"],
            "term" => ["databaseId", "database_id", "term_id", "termId", "id"],
            "user" => ["databaseId", "database_id", "user_id", "ID", "id"],
            _ => ["databaseId", "database_id", "ID", "id", "post_id"],
        }
    }
}

/// The tags that a purge names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PurgeTags(BTreeSet<Tag>);

impl PurgeTags {
    /// All answers.
    pub fn everything() -> Self {
        Self::default().with(Tag::of(EVERYTHING))
    }

    /// Whether nothing is named.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Names a key as a site sends it. With a node go the answers whose list of nodes was cut off.
    #[must_use]
    pub fn key(self, key: Tag) -> Self {
        let twin = node_kind(key.as_str()).map(|kind| Tag(format!("skipped:{kind}").into()));
        twin.into_iter().fold(self.with(key), Self::with)
    }

    /// Names a type, as GraphQL or WordPress names it: its lists, and all nodes that may be of it.
    #[must_use]
    pub fn kind(self, name: &str) -> Self {
        let name = name.to_ascii_lowercase();
        kinds_of(&name).iter().fold(self.lists_of(&name), |named, kind| {
            named.with(Tag::nodes(kind)).with(Tag(format!("skipped:{kind}").into()))
        })
    }

    /// Names all operations of a name.
    #[must_use]
    pub fn operation(self, name: &str) -> Self {
        self.with(Tag::operation(name))
    }

    /// Names a document: by the digest of its normal form, or by the id that the site gives it.
    #[must_use]
    pub fn document(self, digest: &str) -> Self {
        self.with(Tag::document(digest)).with(Tag::of(digest))
    }

    /// What ends with a webhook. `keys` is what the site names: none if it says nothing of answers, and then all that the change
    /// may touch ends; an empty list if none ends.
    pub fn of_webhook(keys: Option<&[Tag]>, change: ContentChange<'_>) -> Self {
        match keys {
            None => Self::default().change(change),
            Some([]) => Self::default(),
            Some(keys) => {
                let named = keys.iter().cloned().fold(Self::default(), Self::key);
                match change.id {
                    Some(_) => named.change(change),
                    None if change.moves_lists() => named.with(Tag::of(CONNECTIONS)).lists_of(&change.kind_name()),
                    None => named,
                }
            }
        }
    }

    /// Names what a change touches, beside what the site named. Where the node is known it is that node, and the lists of its
    /// type if it came, went, or nobody knows what happened to it; else it is all of its type.
    #[must_use]
    pub fn change(self, change: ContentChange<'_>) -> Self {
        let name = change.kind_name();
        let named = if change.moves_lists() { self.with(Tag::of(CONNECTIONS)) } else { self };
        let id = change.id.filter(|id| !id.is_empty());
        let nodes: Vec<Tag> = match id {
            Some(id) if id.bytes().all(|b| b.is_ascii_digit()) => {
                kinds_of(&name).iter().map(|kind| Tag::of(&STANDARD.encode(format!("{kind}:{id}")))).collect()
            }
            Some(id) => node_kind(id).map(|_| Tag::of(id)).into_iter().collect(),
            None => Vec::new(),
        };
        if nodes.is_empty() {
            return named.with(Tag::of(CONNECTIONS)).kind(&name);
        }
        let named = nodes.into_iter().fold(named, Self::key);
        if change.moves_lists() { named.lists_of(&name) } else { named }
    }

    /// The tags. Whatever is purged, answers that found nothing go with it: what they looked for may be there now.
    pub fn into_tags(self) -> Vec<Tag> {
        let Self(mut tags) = self;
        if !tags.is_empty() {
            tags.insert(Tag::of(FOUND_NOTHING));
        }
        tags.into_iter().collect()
    }

    /// The lists of a type. Types that plugins add have names in GraphQL that WordPress does not tell: all lists, then.
    fn lists_of(self, name: &str) -> Self {
        match list_of(name) {
            Some(list) => self.with(Tag::of(list)),
            None => self.with(Tag(format!("list:{name}").into())).with(Tag::of(LISTS)),
        }
    }

    fn with(mut self, tag: Tag) -> Self {
        self.0.insert(tag);
        self
    }
}

/// The key of the lists of one of WordPress's own types.
fn list_of(name: &str) -> Option<&'static str> {
    Some(match name {
        "post" => "list:post",
        "page" => "list:page",
        "attachment" | "media" | "mediaitem" | "media_item" => "list:mediaitem",
        "category" => "list:category",
        "tag" | "post_tag" => "list:tag",
        "user" => "list:user",
        "comment" => "list:comment",
        "menu" | "nav_menu" => "list:menu",
        "menuitem" | "menu_item" | "nav_menu_item" => "list:menuitem",
        _ => return None,
    })
}

/// The kind in the Relay ids of one of WordPress's own types.
fn named_kind(name: &str) -> Option<&'static str> {
    Some(match name {
        "category" | "tag" | "post_tag" | "menu" | "nav_menu" | "term" | "taxonomy" => "term",
        "user" => "user",
        "comment" => "comment",
        "setting" | "settings" | "option" | "options" | "generalsettings" | "readingsettings" | "setting_group" => {
            "setting_group"
        }
        _ if list_of(name).is_some() => "post",
        _ => return None,
    })
}

/// The kinds that a type's nodes may be of. What plugins add are posts or terms.
fn kinds_of(name: &str) -> &'static [&'static str] {
    match named_kind(name) {
        Some("term") => &["term"],
        Some("user") => &["user"],
        Some("comment") => &["comment"],
        Some("setting_group") => &["setting_group"],
        Some(_) => &["post"],
        None => &["post", "term"],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(tags: Vec<Tag>) -> Vec<String> {
        tags.iter().map(|tag| tag.as_str().to_owned()).collect()
    }

    const DOCUMENT: AnsweredDocument<'_> =
        AnsweredDocument { operation: Some("Op"), digest: "d", nests_connections: false };
    const UNNAMED: AnsweredDocument<'_> = AnsweredDocument { operation: None, ..DOCUMENT };

    fn of(keys: &str, found_nothing: bool) -> Vec<String> {
        texts(answer_tags(Some(keys), UNNAMED, found_nothing).unwrap())
    }

    /// Whether a purge ends an answer with these keys.
    fn ends(purge: PurgeTags, keys: &str, found_nothing: bool) -> bool {
        let purged = purge.into_tags();
        answer_tags(Some(keys), DOCUMENT, found_nothing).unwrap().iter().any(|tag| purged.contains(tag))
    }

    fn key(key: &str) -> PurgeTags {
        PurgeTags::default().key(Tag::parse(key).unwrap())
    }

    fn change(node_type: &str, action: &str, id: Option<&str>) -> PurgeTags {
        PurgeTags::default().change(ContentChange { node_type, action, id })
    }

    #[test]
    fn an_answer_is_tagged_with_its_keys_and_the_kinds_of_its_nodes() {
        assert_eq!(
            of("abc graphql:Query list:post cG9zdDox skipped:term", false),
            [
                "*document:d",
                "*lists",
                "*nodes:post",
                "*nodes:term",
                "abc",
                "cG9zdDox",
                "graphql:Query",
                "list:post",
                "skipped:term"
            ]
        );
        assert_eq!(of("abc graphql:Query *forged", false), ["*document:d", "*nothing", "abc", "graphql:Query"]);
        assert!(of("graphql:Query cG9zdDox", true).contains(&"*nothing".to_owned()));
        assert!(texts(answer_tags(None, DOCUMENT, false).unwrap()).contains(&"operation:Op".to_owned()));
        let many: Vec<String> = (0..MAX_TAGS).map(|nth| format!("key{nth}")).collect();
        assert_eq!(answer_tags(Some(&many.join(" ")), UNNAMED, false), None);
    }

    #[test]
    fn whatever_is_purged_ends_what_found_nothing() {
        for purge in [key("list:post"), key("cG9zdDo2"), change("post", "UPDATE", Some("6")), PurgeTags::everything()] {
            assert!(ends(purge, "abc graphql:Query", false));
        }
        assert!(!PurgeTags::default().into_tags().iter().any(|_| true), "nothing was purged");
        assert!(ends(key("list:page"), "abc graphql:Query list:post", true), "one of its fields found nothing");
        assert!(!ends(key("list:page"), "abc graphql:Query list:post", false));
    }

    #[test]
    fn a_node_is_purged_where_its_id_was_cut_off() {
        let truncated = "abc graphql:Query list:post cG9zdDox skipped:post";
        assert!(ends(key("cG9zdDo2"), truncated, false));
        assert!(!ends(key("dGVybTox"), truncated, false), "terms were not cut off");
        assert!(ends(change("page", "UPDATE", Some("9")), truncated, false), "pages are posts");
    }

    #[test]
    fn a_change_purges_its_node_and_its_lists_as_far_as_they_move() {
        let (list, node) = ("a graphql:Query list:post cG9zdDox", "a graphql:Query cG9zdDo2");
        assert!(
            ends(change("post", "UPDATE", Some("6")), node, false)
                && !ends(change("post", "UPDATE", Some("6")), list, false)
        );
        for action in ["CREATE", "DELETE", "delete", "trash"] {
            assert!(ends(change("post", action, Some("cG9zdDo2")), node, false), "{action}");
            assert!(ends(change("post", action, Some("cG9zdDo2")), list, false), "{action}");
        }
        assert!(ends(change("post", "UPDATE", None), node, false) && ends(change("post", "UPDATE", None), list, false));
        assert!(ends(change("post", "UPDATE", Some("not-an-id")), list, false), "all of its type");
        assert!(!ends(change("category", "UPDATE", None), list, false));
    }

    #[test]
    fn connections_below_the_root_end_with_whatever_comes_or_goes() {
        let nested = AnsweredDocument { nests_connections: true, ..DOCUMENT };
        let ends = |purge: PurgeTags, document| {
            let purged = purge.into_tags();
            answer_tags(Some("a graphql:Query dXNlcjox"), document, false)
                .unwrap()
                .iter()
                .any(|tag| purged.contains(tag))
        };
        let keyed = |action| {
            let keys = [Tag::parse("list:post").unwrap()];
            PurgeTags::of_webhook(Some(&keys), ContentChange { node_type: "post", action, id: None })
        };
        for purge in [
            keyed("CREATE"),
            change("post", "CREATE", Some("6")),
            change("post", "DELETE", Some("6")),
            change("comment", "UPDATE", Some("2")),
            change("post", "UPDATE", None),
        ] {
            assert!(ends(purge.clone(), nested) && !ends(purge, DOCUMENT));
        }
        assert!(!ends(keyed("UPDATE"), nested) && !ends(change("post", "UPDATE", Some("6")), nested));
    }

    #[test]
    fn a_node_is_named_by_the_types_of_wordpress() {
        for (text, id) in
            [("post:7", "cG9zdDo3"), ("page:7", "cG9zdDo3"), ("Category:5", "dGVybTo1"), ("cG9zdDo3", "cG9zdDo3")]
        {
            assert_eq!(Tag::of_node(text).unwrap().as_str(), id, "{text}");
        }
        for bad in ["7", "genre:5", "post:x", "", "post:"] {
            assert!(Tag::of_node(bad).is_err(), "{bad}");
        }
        assert!(
            ends(change("genre", "UPDATE", Some("5")), "a graphql:Query dGVybTo1", false),
            "a taxonomy of a plugin"
        );
    }

    #[test]
    fn an_id_that_is_empty_is_none() {
        assert_eq!(change("post", "UPDATE", Some("")), change("post", "UPDATE", None));
    }

    #[test]
    fn a_type_that_wordpress_does_not_know_purges_all_lists() {
        assert!(ends(change("shop_order", "CREATE", Some("6")), "a graphql:Query list:order", false));
        assert!(ends(change("shop_order", "UPDATE", None), "a graphql:Query cG9zdDox", false));
        assert!(!ends(change("shop_order", "UPDATE", Some("6")), "a graphql:Query list:order cG9zdDox", false));
    }

    #[test]
    fn types_operations_and_documents_are_named_by_themselves() {
        let answer = "abc graphql:Query list:page cG9zdDox";
        for purge in [
            PurgeTags::default().kind("Page"),
            PurgeTags::default().operation("Op"),
            PurgeTags::default().document("d"),
            PurgeTags::default().document("abc"),
            PurgeTags::everything(),
            key("graphql:Query"),
        ] {
            assert!(ends(purge, answer, false));
        }
        for purge in [
            PurgeTags::default().kind("Comment"),
            PurgeTags::default().operation("Other"),
            PurgeTags::default().document("other"),
        ] {
            assert!(!ends(purge, answer, false));
        }
    }

    #[test]
    fn no_key_is_taken_for_a_derived_tag() {
        for bad in ["", "*lists", "a b", "a\n", "ü", &"a".repeat(257)] {
            assert!(Tag::parse(bad).is_err(), "{bad}");
        }
        for key in ["list:post", "cG9zdDox", "skipped:post", "term:1"] {
            assert_eq!(Tag::parse(key).unwrap().as_str(), key);
        }
    }
}
