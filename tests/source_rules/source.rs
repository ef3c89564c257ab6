use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use proc_macro2::{Span, TokenStream};

use crate::test_code::TestCode;
use crate::tokens::{Piece, Token, pieces};

/// A source file as syn reads it: its code, macros and attributes included, each token with its line.
#[derive(Debug, Clone)]
pub struct SourceFile {
    /// From the repository's root: `src/tenant/registry.rs`, `domain/src/host.rs`.
    pub path: String,
    pub text: String,
    pub tokens: Vec<(Token, usize)>,
    /// Documentation and comments, line by line.
    pub comments: Vec<(String, usize)>,
    /// The byte at which each token and each comment begins.
    token_places: Vec<usize>,
    comment_places: Vec<usize>,
    /// Where its tests stand, if they were left out.
    left_out: Vec<Range<usize>>,
}

impl SourceFile {
    pub fn of(path: &str, text: &str) -> Self {
        let stream: TokenStream = text.parse().unwrap_or_else(|error| panic!("{path}: {error}"));
        let mut file = Self {
            path: path.into(),
            text: text.into(),
            tokens: Vec::new(),
            comments: Vec::new(),
            token_places: Vec::new(),
            comment_places: Vec::new(),
            left_out: Vec::new(),
        };
        let (mut end, mut line) = (0, 1);
        for (piece, span) in pieces(stream) {
            let bytes = span.byte_range();
            file.comment(text.get(end..bytes.start).unwrap_or_default(), end, line);
            match piece {
                Piece::Token(token) => {
                    file.tokens.push((token, span.start().line));
                    file.token_places.push(bytes.start);
                }
                Piece::Doc(text) => file.comment(&text, bytes.start, span.start().line),
            }
            (end, line) = (bytes.end, span.end().line);
        }
        file.comment(text.get(end..).unwrap_or_default(), end, line);
        file
    }

    /// Adds what is no code, line by line.
    fn comment(&mut self, text: &str, mut place: usize, first: usize) {
        for (at, line) in text.split('\n').enumerate() {
            if !line.trim().is_empty() {
                self.comments.push((line.trim().to_owned(), first + at));
                self.comment_places.push(place);
            }
            place += line.len() + 1;
        }
    }

    /// The file without its tests: nothing under `#[cfg(test)]`.
    pub fn without_tests(self) -> Self {
        let tests = TestCode::of(&self).ranges;
        self.without(tests)
    }

    fn without(mut self, left_out: Vec<Range<usize>>) -> Self {
        let holds = |place: &usize| !left_out.iter().any(|range| range.contains(place));
        let mut held = self.token_places.iter().map(holds);
        self.tokens.retain(|_| held.next().unwrap_or(true));
        let mut held = self.comment_places.iter().map(holds);
        self.comments.retain(|_| held.next().unwrap_or(true));
        self.token_places.retain(holds);
        self.comment_places.retain(holds);
        self.left_out = left_out;
        self
    }

    /// Its syntax tree, with its tests: [`holds`](Self::holds) says of a place whether it belongs to the file.
    pub fn syntax(&self) -> syn::File {
        syn::parse_file(&self.text)
            .unwrap_or_else(|error| panic!("{}:{}: {error}", self.path, error.span().start().line))
    }

    /// Whether a place is not in what was left out.
    pub fn holds(&self, span: Span) -> bool {
        let start = span.byte_range().start;
        !self.left_out.iter().any(|range| range.contains(&start))
    }

    /// How many lines it has, without what was left out.
    pub fn lines(&self) -> usize {
        let left_out = self.left_out.iter().map(|range| self.text[range.clone()].lines().count());
        self.text.lines().count() - left_out.sum::<usize>()
    }

    /// Its module, behind the name of its crate: `src/tenant/api.rs` is `[carillon, tenant, api]`, `src/tenant/mod.rs`
    /// is `[carillon, tenant]`, `domain/src/lib.rs` is `[domain]`.
    pub fn module(&self) -> Vec<String> {
        let (name, path) = match self.path.strip_prefix("domain/src/") {
            Some(path) => ("domain", path),
            None => (WORKER, self.path.strip_prefix("src/").unwrap_or(&self.path)),
        };
        let segments = path.trim_end_matches(".rs").split('/');
        let mut module: Vec<String> = std::iter::once(name).chain(segments).map(str::to_owned).collect();
        if matches!(module.last().map(String::as_str), Some("mod" | "lib")) {
            module.pop();
        }
        module
    }

    /// Where these tokens stand one behind the other: the index of the first, and its line.
    pub fn find(&self, wanted: &[&str]) -> Vec<(usize, usize)> {
        let found = self
            .tokens
            .windows(wanted.len())
            .enumerate()
            .filter(|(_, window)| window.iter().zip(wanted).all(|((token, _), wanted)| token.is(wanted)));
        found.map(|(at, window)| (at, window[0].1)).collect()
    }
}

/// The crate of the Worker, as the first segment of its modules.
pub const WORKER: &str = "carillon";

/// The repository's root.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

pub fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The files of a folder and of those inside it that end so, sorted; none if it is not there.
pub fn files_in(folder: &str, ending: &str) -> Vec<String> {
    let (mut found, mut folders) = (Vec::new(), vec![root().join(folder)]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root()).unwrap().to_str().unwrap().replace('\\', "/");
            if path.is_dir() {
                folders.push(path);
            } else if name.ends_with(ending) {
                found.push(name);
            }
        }
    }
    found.sort();
    found
}

/// Every file of the Worker and of `domain`, sorted by path.
pub fn files() -> Vec<SourceFile> {
    static FILES: OnceLock<Vec<SourceFile>> = OnceLock::new();
    let read_all = || {
        let paths = ["domain/src", "src"].into_iter().flat_map(|folder| files_in(folder, ".rs"));
        let found: Vec<SourceFile> = paths.map(|path| SourceFile::of(&path, &read(&path))).collect();
        assert!(found.len() > 20, "the source is in src/");
        found
    };
    FILES.get_or_init(read_all).clone()
}

/// The same files without their tests, and without those that are tests as a whole.
pub fn production_files() -> Vec<SourceFile> {
    static FILES: OnceLock<Vec<SourceFile>> = OnceLock::new();
    FILES.get_or_init(|| without_tests(files())).clone()
}

/// Files without their tests; a file whose module is declared under `#[cfg(test)]` is one.
pub fn without_tests(files: Vec<SourceFile>) -> Vec<SourceFile> {
    let tests: Vec<TestCode> = files.iter().map(TestCode::of).collect();
    let modules: BTreeSet<Vec<String>> = tests.iter().flat_map(|tests| tests.modules.iter().cloned()).collect();
    let is_test = |file: &SourceFile| {
        let module = file.module();
        (1..=module.len()).any(|length| modules.contains(&module[..length]))
    };
    let kept = files.into_iter().zip(tests).filter(|(file, _)| !is_test(file));
    kept.map(|(file, tests)| file.without(tests.ranges)).collect()
}

#[test]
fn comments_and_texts_are_no_code() {
    let text = r##"
        //! crate::a
        /* crate::b /* crate::c */ crate::d */
        const A: &str = "crate::e \" crate::f"; const B: &str = r#"crate::g"#; const C: char = '"'; fn f<'a>() {}
        use crate::h; // crate::l
        #[cfg(test)]
        #[allow(x)]
        mod tests { /// crate::m
            use crate::i; fn g() { if true { } } }
        #[cfg(test)]
        use crate::{j};
        use crate::k;
    "##;
    let file = SourceFile::of("src/x.rs", text);
    assert_eq!(file.find(&["crate", ":", ":"]).len(), 4);
    let comments = |file: &SourceFile| file.comments.iter().map(|(_, line)| *line).collect::<Vec<_>>();
    assert_eq!(comments(&file), [2, 3, 5, 8]);
    let file = file.without_tests();
    let lines: Vec<usize> = file.find(&["crate", ":", ":"]).into_iter().map(|(_, line)| line).collect();
    assert_eq!((lines, comments(&file)), (vec![5, 12], vec![2, 3, 5]));
    assert!(file.tokens.contains(&(Token::Text("crate::e \" crate::f".into()), 4)));
    assert!(file.tokens.contains(&(Token::Word("'a".into()), 4)));
}
