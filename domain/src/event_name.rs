//! Names of events on `/events?named=true`, where each event has one: a namespace for whoever sent it.
//!
//! | name | of |
//! |---|---|
//! | `hub.{…}` | messages of the hub itself |
//! | `{node_type}.{action}`, `{collection}.{action}` | webhooks and records |
//! | a word without a dot, such as `add` | Mercure updates of this `type` |
//! | `event.{name}` | webhooks and records whose name would lie in another's namespace |
//! | `mercure.{type}` | Mercure updates of any other `type` |
//!
//! Invariant: no text from outside makes a name of the hub, or one that an `EventSource` fires itself. Names are made when
//! an event is framed, so events that are in the log already have them too.

use std::borrow::Cow;

/// First parts that a name of a webhook or a record may not have.
const NAMESPACES: [&str; 3] = ["hub", "event", "mercure"];
/// Names that an `EventSource` fires itself (WHATWG HTML, "The EventSource interface").
const OF_EVENT_SOURCE: [&str; 3] = ["open", "error", "message"];

/// The name of a webhook's or a record's event, from `{node_type}.{action}`.
pub fn of_event(name: &str) -> Cow<'_, str> {
    let first = name.split_once('.').map(|(first, _)| first);
    let is_free = first.is_some_and(|first| !NAMESPACES.iter().any(|taken| first.eq_ignore_ascii_case(taken)));
    if is_free { name.into() } else { format!("event.{name}").into() }
}

/// The name of a Mercure update, from its type.
pub fn of_update(kind: &str) -> Cow<'_, str> {
    let is_word = kind.starts_with(|c: char| c.is_ascii_alphabetic())
        && kind.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    let is_free = is_word && !OF_EVENT_SOURCE.iter().any(|taken| kind.eq_ignore_ascii_case(taken));
    if is_free { kind.into() } else { format!("mercure.{kind}").into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn usual_names_stand_as_they_are() {
        for name in ["post.update", "comment.create", "leads.delete", "hubs.update", "open.error", "a.b.c"] {
            assert_eq!(of_event(name), name);
        }
        for kind in ["add", "update", "Mercure", "price-change", "hub", "opened"] {
            assert_eq!(of_update(kind), kind);
        }
    }

    #[test]
    fn nobody_speaks_as_the_hub_or_as_the_browser() {
        for (name, made) in [
            ("hub.reset", "event.hub.reset"),
            ("Hub.reset", "event.Hub.reset"),
            ("hub..reset", "event.hub..reset"),
            ("hub.token_expiring.x", "event.hub.token_expiring.x"),
            ("mercure.add", "event.mercure.add"),
            ("event.hub.reset", "event.event.hub.reset"),
            ("open", "event.open"),
            ("", "event."),
        ] {
            assert_eq!(of_event(name), made);
        }
        for kind in [
            "hub.reset",
            "hub.closed",
            "HUB.RESET",
            "error",
            "open",
            "message",
            "Error",
            "post.update",
            "",
            " open",
            "__proto__",
            "é",
        ] {
            assert_eq!(of_update(kind), format!("mercure.{kind}"));
        }
    }

    proptest! {
        #[test]
        fn each_name_lies_in_the_namespace_of_its_sender(
            node in "(?i)(hub|open|error|message|mercure|event|[a-z]{1,6}|\\PC{1,6})",
            action in "(?i)(reset|closed|[a-z.]{0,8}|\\PC{0,6})",
            kind in "(?i)(hub\\.[a-z]{1,8}|open|error|message|[a-z._-]{1,12}|\\PC{1,12})",
        ) {
            let (event, update) = (format!("{node}.{action}"), kind);
            let (event, update) = (of_event(&event), of_update(&update));
            for name in [&event, &update] {
                prop_assert!(!name.starts_with("hub.") && !OF_EVENT_SOURCE.contains(&&**name), "{}", name);
            }
            prop_assert_ne!(event, update);
        }

        #[test]
        fn different_names_stay_different(a in "(hub\\.|event\\.|mercure\\.)?[a-z.]{0,8}", b in "(hub\\.|event\\.|mercure\\.)?[a-z.]{0,8}") {
            prop_assert_eq!(a == b, of_update(&a) == of_update(&b));
            prop_assert_eq!(a == b, of_event(&a) == of_event(&b));
        }
    }
}
