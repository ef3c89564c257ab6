//! The fragments of a document, each counted once, and the rules of their names: every fragment has its own, what is spread
//! is defined, and no fragment contains itself (GraphQL specification, 5.5.1.1, 5.5.2.1 and 5.5.2.2).
//!
//! Fragments that nothing spreads are held to the same rules; that they are there is the origin's to judge.

use std::collections::BTreeMap;
use std::slice::Iter;

use super::definitions::{Definitions, FragmentDefinition, FragmentReference, SelectionCounts, Selections};
use super::error::{DocumentError, Location};

/// The counts of every fragment, by name.
pub(super) type FragmentCounts<'a> = BTreeMap<&'a str, SelectionCounts>;

/// Checks the fragments of a document and counts them.
pub(super) fn count_fragments<'a>(
    text: &str,
    definitions: &Definitions<'a>,
) -> Result<FragmentCounts<'a>, DocumentError> {
    let uncounted = by_name(text, &definitions.fragments)?;
    let of_operations = definitions.operations.iter().map(|operation| &operation.selections);
    let of_fragments = definitions.fragments.iter().map(|fragment| &fragment.selections);
    for reference in of_operations.chain(of_fragments).flat_map(|selections| &selections.references) {
        if !uncounted.contains_key(reference.name) {
            let error = DocumentError::new("unknown_fragment", "There is no fragment of this name");
            return Err(error.at(Location::of(text, reference.offset)));
        }
    }
    let mut counter = FragmentCounter::new(uncounted);
    for definition in &definitions.fragments {
        counter.count(definition.name).map_err(|offset| {
            let error = DocumentError::new("fragment_cycle", "A fragment must not contain itself");
            error.at(Location::of(text, offset))
        })?;
    }
    Ok(counter.counts)
}

fn by_name<'d, 'a>(
    text: &str,
    definitions: &'d [FragmentDefinition<'a>],
) -> Result<BTreeMap<&'a str, &'d Selections<'a>>, DocumentError> {
    let mut by_name = BTreeMap::new();
    for definition in definitions {
        if by_name.insert(definition.name, &definition.selections).is_some() {
            let error = DocumentError::new("duplicate_fragment", "There is another fragment of this name");
            return Err(error.at(Location::of(text, definition.offset)));
        }
    }
    Ok(by_name)
}

/// Counts each fragment after those that it contains. Each fragment is opened once and each reference followed once,
/// so fragments that double with every step cost no more than others, and a chain of any length needs no recursion.
struct FragmentCounter<'d, 'a> {
    /// Neither counted nor open.
    uncounted: BTreeMap<&'a str, &'d Selections<'a>>,
    counts: FragmentCounts<'a>,
    /// The open fragments: each contains the next.
    path: Vec<OpenFragment<'d, 'a>>,
    /// How many fragments were opened and references followed.
    #[cfg(test)]
    steps: usize,
}

struct OpenFragment<'d, 'a> {
    name: &'a str,
    selections: &'d Selections<'a>,
    unread: Iter<'d, FragmentReference<'a>>,
}

impl<'d, 'a> FragmentCounter<'d, 'a> {
    fn new(uncounted: BTreeMap<&'a str, &'d Selections<'a>>) -> Self {
        Self {
            uncounted,
            counts: BTreeMap::new(),
            path: Vec::new(),
            #[cfg(test)]
            steps: 0,
        }
    }

    /// Counts a fragment and all that it contains. The error is the place of a reference to an open fragment.
    fn count(&mut self, name: &'a str) -> Result<(), usize> {
        self.open(name);
        while let Some(fragment) = self.path.last_mut() {
            if let Some(reference) = fragment.unread.next() {
                self.step();
                if !self.counts.contains_key(reference.name) && !self.open(reference.name) {
                    return Err(reference.offset);
                }
            } else if let Some(whole) = self.path.pop() {
                self.counts.insert(whole.name, whole.selections.expand(&self.counts));
            }
        }
        Ok(())
    }

    /// Whether it was neither counted nor open.
    fn open(&mut self, name: &'a str) -> bool {
        let Some(selections) = self.uncounted.remove(name) else { return false };
        self.step();
        self.path.push(OpenFragment { name, selections, unread: selections.references.iter() });
        true
    }

    #[cfg(test)]
    fn step(&mut self) {
        self.steps += 1;
    }

    #[cfg(not(test))]
    fn step(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::super::parse::parse_definitions;
    use super::super::tokens::read_tokens;
    use super::super::{DocumentLimits, GraphqlDocument};
    use super::*;

    const WIDE: DocumentLimits = DocumentLimits { bytes: 50_000_000, tokens: 5_000_000, nesting: 64 };

    /// `{ ...F0 }`, and so many fragments: each spreads the next so often, the last selects a field.
    fn chain(length: usize, times: usize) -> String {
        let step = |n: usize| format!("fragment F{n} on T {{ {} }}\n", format!("...F{} ", n + 1).repeat(times));
        let steps: String = (0..length).map(step).collect();
        format!("{{ ...F0 }}\n{steps}fragment F{length} on T {{ a: b }}")
    }

    /// The steps of the counter, and how many fragments and references there are.
    fn steps(text: &str) -> (usize, usize) {
        let definitions = parse_definitions(text, &read_tokens(text, &WIDE).unwrap(), &WIDE).unwrap();
        let mut counter = FragmentCounter::new(by_name(text, &definitions.fragments).unwrap());
        let is_cyclic = definitions.fragments.iter().any(|definition| counter.count(definition.name).is_err());
        assert!(is_cyclic || counter.counts.len() == definitions.fragments.len());
        let references = definitions.fragments.iter().map(|fragment| fragment.selections.references.len());
        (counter.steps, definitions.fragments.len() + references.sum::<usize>())
    }

    #[test]
    fn fragments_that_double_with_each_step_are_counted_once() {
        let text = chain(30, 2);
        let operation = GraphqlDocument::parse(&text, &WIDE).unwrap().operation(None).unwrap();
        assert_eq!((operation.fields, operation.aliases, operation.depth), (1 << 30, 1 << 30, 1));
        for (length, times) in [(30, 2), (1_000, 2), (1, 10_000), (300, 300)] {
            let (steps, size) = steps(&chain(length, times));
            assert_eq!(steps, size);
        }
    }

    #[test]
    fn numbers_end_at_the_largest() {
        let text = chain(100, 2);
        let operation = GraphqlDocument::parse(&text, &WIDE).unwrap().operation(None).unwrap();
        assert_eq!((operation.fields, operation.aliases, operation.depth), (u64::MAX, u64::MAX, 1));
    }

    #[test]
    fn a_long_chain_needs_no_recursion() {
        let text = chain(30_000, 1).replace("{ ...F", "{ a { ...F");
        let text = text.replace(" }\n", " } }\n");
        let operation = GraphqlDocument::parse(&text, &WIDE).unwrap().operation(None).unwrap();
        assert_eq!((operation.fields, operation.depth), (30_002, 30_002));
    }

    #[test]
    fn a_long_cycle_ends() {
        let text = chain(30_000, 2).replace("{ a: b }", "{ ...F7 }");
        assert_eq!(GraphqlDocument::parse(&text, &WIDE).unwrap_err().code, "fragment_cycle");
        let (steps, size) = steps(&text);
        assert!(steps <= size);
    }
}
