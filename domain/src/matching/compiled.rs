//! The patterns and templates that streams hold, each compiled once, and who brought it.

use std::collections::HashMap;
use std::rc::Rc;

use super::budget::PatternBudget;
use super::matcher::{MatchType, Matcher};
use crate::address::Network;

/// What is compiled and held by somebody.
#[derive(Debug, Default)]
pub struct CompiledMatchers {
    templates: HashMap<Box<str>, HeldMatcher>,
    patterns: HashMap<Box<str>, HeldMatcher>,
}

#[derive(Debug)]
struct HeldMatcher {
    matcher: Rc<Matcher>,
    /// How often it is held.
    holds: usize,
    /// The network that brought it: the first that held it since nobody did.
    network: Network,
}

impl CompiledMatchers {
    /// The matcher of this text that somebody holds.
    pub fn get(&self, kind: MatchType, text: &str) -> Option<&Rc<Matcher>> {
        let known = match kind {
            MatchType::Exact => return None,
            MatchType::UriTemplate => &self.templates,
            MatchType::UrlPattern => &self.patterns,
        };
        known.get(text).map(|held| &held.matcher)
    }

    /// Whether nobody holds it yet, and somebody would have to bring it.
    pub fn is_new(&self, matcher: &Matcher) -> bool {
        match matcher {
            Matcher::Template(template) => !self.templates.contains_key(template.text()),
            Matcher::Pattern(pattern) => !self.patterns.contains_key(pattern.text()),
            _ => false,
        }
    }

    /// Somebody of a network holds it, too.
    pub fn hold(&mut self, matcher: &Rc<Matcher>, network: Network, budget: &mut PatternBudget) {
        let Some((known, text)) = self.place_of(matcher) else { return };
        match known.get_mut(text) {
            Some(held) => held.holds += 1,
            None => {
                budget.take(network, matcher.price());
                known.insert(text.into(), HeldMatcher { matcher: Rc::clone(matcher), holds: 1, network });
            }
        }
    }

    /// One of those who hold it does no longer.
    pub fn release(&mut self, matcher: &Matcher, budget: &mut PatternBudget) {
        let Some((known, text)) = self.place_of(matcher) else { return };
        let Some(held) = known.get_mut(text) else { return };
        held.holds -= 1;
        if held.holds == 0 {
            budget.give_back(held.network, held.matcher.price());
            known.remove(text);
        }
    }

    fn place_of<'m>(&mut self, matcher: &'m Matcher) -> Option<(&mut HashMap<Box<str>, HeldMatcher>, &'m str)> {
        match matcher {
            Matcher::Template(template) => Some((&mut self.templates, template.text())),
            Matcher::Pattern(pattern) => Some((&mut self.patterns, pattern.text())),
            _ => None,
        }
    }
}
