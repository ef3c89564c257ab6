//! Whom a topic reaches: the matchers that subscribers ask with, and the index that finds them.
//!
//! A matcher is compiled once, in a bounded number of steps (`steps`), and then looks at topics in time linear in the topic:
//! there is no backtracking anywhere, and each byte costs a look into one row of a table. What the matchers of many
//! subscribers take together is bounded too (`budget`), and by how many of them a topic is looked at (`heads`): so a publish
//! takes at most as many steps as its topics have bytes, times that number.

pub mod budget;
mod compiled;
pub mod expression;
mod heads;
pub mod index;
pub mod matcher;
mod nfa;
pub mod program;
pub mod steps;
mod table;
pub mod topic_url;
pub mod uri_template;
pub mod url_pattern;
