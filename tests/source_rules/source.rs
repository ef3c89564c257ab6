use std::path::{Path, PathBuf};

/// One token of Rust. Comments are none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Token {
    Word(String),
    Text(String),
    Number(String),
    Mark(char),
}

impl Token {
    pub fn is(&self, wanted: &str) -> bool {
        match self {
            Self::Word(word) => word == wanted,
            Self::Mark(mark) => wanted.len() == 1 && wanted.starts_with(*mark),
            Self::Text(_) | Self::Number(_) => false,
        }
    }

    pub fn word(&self) -> Option<&str> {
        if let Self::Word(word) = self { Some(word) } else { None }
    }
}

/// A source file: its tokens, each with its line.
#[derive(Debug, Clone)]
pub struct SourceFile {
    /// From the package's root: `src/api/tenants/tenant.rs`.
    pub path: String,
    pub tokens: Vec<(Token, usize)>,
}

impl SourceFile {
    pub fn of(path: &str, text: &str) -> Self {
        Self { path: path.into(), tokens: lex(text) }
    }

    /// The file without its tests: no item under `#[cfg(test)]`.
    pub fn without_tests(mut self) -> Self {
        self.tokens = skip_tests(&self.tokens);
        self
    }

    /// Its module: `tenant/api.rs` is `[tenant, api]`, `tenant/mod.rs` is `[tenant]`, `lib.rs` is the root.
    pub fn module(&self) -> Vec<String> {
        let path = self.path.trim_start_matches("src/").trim_end_matches(".rs");
        let mut module: Vec<String> = path.split('/').map(str::to_owned).collect();
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

/// The package's root.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

pub fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every file of `src/`, sorted by path.
pub fn files() -> Vec<SourceFile> {
    let (mut found, mut folders) = (Vec::new(), vec![root().join("src")]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root()).unwrap().to_str().unwrap().replace('\\', "/");
                found.push(SourceFile::of(&name, &read(&path)));
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(found.len() > 20, "the source is in src/");
    found
}

/// Every file of `src/` without its tests.
pub fn production_files() -> Vec<SourceFile> {
    files().into_iter().map(SourceFile::without_tests).collect()
}

fn lex(text: &str) -> Vec<(Token, usize)> {
    let mut lexer = Lexer { chars: text.chars().collect(), at: 0, line: 1 };
    let mut tokens = Vec::new();
    while let Some(found) = lexer.next_token() {
        tokens.push(found);
    }
    tokens
}

struct Lexer {
    chars: Vec<char>,
    at: usize,
    line: usize,
}

impl Lexer {
    fn peek(&self, ahead: usize) -> char {
        self.chars.get(self.at + ahead).copied().unwrap_or('\0')
    }

    fn take(&mut self) -> char {
        let taken = self.peek(0);
        self.at += 1;
        if taken == '\n' {
            self.line += 1;
        }
        taken
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> String {
        let mut taken = String::new();
        while self.at < self.chars.len() && wanted(self.peek(0)) {
            taken.push(self.take());
        }
        taken
    }

    fn next_token(&mut self) -> Option<(Token, usize)> {
        loop {
            self.take_while(char::is_whitespace);
            if self.at >= self.chars.len() {
                return None;
            }
            let line = self.line;
            let token = match (self.peek(0), self.peek(1)) {
                ('/', '/') => {
                    self.take_while(|c| c != '\n');
                    continue;
                }
                ('/', '*') => {
                    self.skip_block_comment();
                    continue;
                }
                ('"', _) => self.text(),
                ('\'', '\\') => self.character(),
                ('\'', _) if self.peek(2) == '\'' => self.character(),
                ('\'', _) => {
                    self.take();
                    Token::Word(format!("'{}", self.take_while(is_word)))
                }
                (c, _) if c.is_ascii_digit() => Token::Number(self.take_while(is_word)),
                (c, _) if is_word(c) => self.word(),
                _ => Token::Mark(self.take()),
            };
            return Some((token, line));
        }
    }

    fn skip_block_comment(&mut self) {
        let mut depth = 0;
        while self.at < self.chars.len() {
            match (self.peek(0), self.peek(1)) {
                ('/', '*') => (depth, _) = (depth + 1, self.take()),
                ('*', '/') => (depth, _) = (depth - 1, self.take()),
                _ => {}
            }
            self.take();
            if depth == 0 {
                return;
            }
        }
    }

    fn character(&mut self) -> Token {
        self.take();
        let mut text = String::new();
        while self.at < self.chars.len() && self.peek(0) != '\'' {
            if self.peek(0) == '\\' {
                text.push(self.take());
            }
            text.push(self.take());
        }
        self.take();
        Token::Text(text)
    }

    fn text(&mut self) -> Token {
        self.take();
        let mut text = String::new();
        while self.at < self.chars.len() && self.peek(0) != '"' {
            match self.take() {
                '\\' => match self.take() {
                    'n' => text.push('\n'),
                    't' => text.push('\t'),
                    '\n' => drop(self.take_while(char::is_whitespace)),
                    other => text.push(other),
                },
                other => text.push(other),
            }
        }
        self.take();
        Token::Text(text)
    }

    /// A word, or a text whose prefix looks like one: `r"…"`, `br#"…"#`, `b'…'`; `r#type` is a word.
    fn word(&mut self) -> Token {
        let word = self.take_while(is_word);
        match (word.as_str(), self.peek(0)) {
            ("b", '\'') => self.character(),
            ("b" | "c", '"') => self.text(),
            ("r" | "br" | "cr", '"' | '#') => {
                let fence = self.take_while(|c| c == '#').len();
                if self.peek(0) != '"' {
                    return Token::Word(self.take_while(is_word));
                }
                self.take();
                let mut text = String::new();
                let end: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', fence)).collect();
                while self.at < self.chars.len() && !self.chars[self.at..].starts_with(&end) {
                    text.push(self.take());
                }
                self.at += end.len();
                Token::Text(text)
            }
            _ => Token::Word(word),
        }
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn skip_tests(tokens: &[(Token, usize)]) -> Vec<(Token, usize)> {
    const TESTS: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let (mut kept, mut at) = (Vec::new(), 0);
    while at < tokens.len() {
        let rest = &tokens[at..];
        if rest.len() >= TESTS.len() && rest.iter().zip(TESTS).all(|((token, _), wanted)| token.is(wanted)) {
            at += TESTS.len() + item_length(&rest[TESTS.len()..]);
        } else {
            kept.push(tokens[at].clone());
            at += 1;
        }
    }
    kept
}

/// How many tokens the item at the front has: up to its `;`, or up to the end of its braces.
fn item_length(tokens: &[(Token, usize)]) -> usize {
    let mut depth = 0;
    for (at, (token, _)) in tokens.iter().enumerate() {
        if let Token::Mark(mark) = token {
            match mark {
                '(' | '[' | '{' => depth += 1,
                ')' | ']' => depth -= 1,
                '}' if depth == 1 => return at + 1,
                '}' => depth -= 1,
                ';' if depth == 0 => return at + 1,
                _ => {}
            }
        }
    }
    tokens.len()
}

#[test]
fn comments_and_texts_are_no_code() {
    let text = r##"
        //! crate::a
        /* crate::b /* crate::c */ crate::d */
        const A: &str = "crate::e \" crate::f"; const B: &str = r#"crate::g"#; const C: char = '"'; fn f<'a>() {}
        use crate::h;
        #[cfg(test)]
        #[allow(x)]
        mod tests { use crate::i; fn g() { if true { } } }
        #[cfg(test)]
        use crate::{j};
        use crate::k;
    "##;
    let file = SourceFile::of("src/x.rs", text);
    assert_eq!(file.find(&["crate", ":", ":"]).len(), 4);
    let file = file.without_tests();
    let lines: Vec<usize> = file.find(&["crate", ":", ":"]).into_iter().map(|(_, line)| line).collect();
    assert_eq!(lines, [5, 11]);
    assert!(file.tokens.contains(&(Token::Text("crate::e \" crate::f".into()), 4)));
}
