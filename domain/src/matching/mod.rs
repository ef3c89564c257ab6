//! Whom a topic reaches: the matchers that subscribers ask with, and the index that finds them.
//!
//! A matcher is parsed once and then looks at topics in time linear in the topic: there is no backtracking anywhere.

pub mod index;
pub mod matcher;
pub mod nfa;
pub mod topic_url;
pub mod uri_template;
pub mod url_pattern;
