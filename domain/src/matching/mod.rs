//! Whom a topic reaches: the matchers that subscribers ask with, and the index that finds them.
//!
//! A matcher is compiled once, in a bounded number of steps, and then looks at topics in time linear in the topic: there
//! is no backtracking anywhere, and each byte costs a look into one row of a table.

pub mod expression;
pub mod index;
pub mod matcher;
mod nfa;
pub mod program;
pub mod steps;
mod table;
pub mod topic_url;
pub mod uri_template;
pub mod url_pattern;
