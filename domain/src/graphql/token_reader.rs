//! The significant tokens of a GraphQL text, read without the lexer that the product reads them with: what normal forms are
//! held against, here and by the fuzz target.

/// The texts of all tokens but the ignored ones. None for a text that is not made of tokens; of a text that is a document
/// by other judgement they are right.
pub fn significant_tokens(text: &str) -> Option<Vec<&str>> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '\u{feff}' | '\t' | ' ' | '\n' | '\r' | ',' => {
                rest = &rest[first.len_utf8()..];
                continue;
            }
            '#' => {
                rest = &rest[rest.find(['\n', '\r']).unwrap_or(rest.len())..];
                continue;
            }
            '!' | '$' | '&' | ':' | '=' | '@' | '(' | ')' | '[' | ']' | '{' | '}' | '|' => 1,
            '.' => rest.starts_with("...").then_some(3)?,
            '"' if rest.starts_with("\"\"\"") => block_length(rest)?,
            '"' => string_length(rest)?,
            'a'..='z' | 'A'..='Z' | '_' => run(rest, |c| c.is_ascii_alphanumeric() || c == '_'),
            '-' | '0'..='9' => 1 + run(&rest[1..], |c| c.is_ascii_alphanumeric() || "+-.".contains(c)),
            _ => return None,
        };
        let (mut token, _) = rest.split_at(length);
        if first == '-' || first.is_ascii_digit() {
            token = number(token);
        }
        tokens.push(token);
        rest = &rest[token.len()..];
    }
    Some(tokens)
}

/// How many bytes of a text are such characters.
fn run(text: &str, is_part: impl Fn(char) -> bool) -> usize {
    text.find(|c| !is_part(c)).unwrap_or(text.len())
}

/// The number that a text begins with: a sign is part of it at its beginning and behind an `e` only.
fn number(text: &str) -> &str {
    let ends = |(at, c): &(usize, char)| {
        let before = text[..*at].chars().next_back();
        (*at > 0 && "+-".contains(*c) && !matches!(before, Some('e' | 'E'))) || text[*at..].starts_with("...")
    };
    text.char_indices().find(ends).map_or(text, |(at, _)| &text[..at])
}

/// The length of `"…"`, which ends at the first quote that is not escaped.
fn string_length(text: &str) -> Option<usize> {
    let mut is_escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            '"' if !is_escaped => return Some(at + 1),
            '\n' | '\r' => return None,
            c => is_escaped = c == '\\' && !is_escaped,
        }
    }
    None
}

/// The length of a block string, which ends at the first three quotes without a backslash before them.
fn block_length(text: &str) -> Option<usize> {
    let mut at = 3;
    loop {
        at += text[at..].find("\"\"\"")?;
        if !text[..at].ends_with('\\') {
            return Some(at + 3);
        }
        at += 3;
    }
}

/// The tokens of a document with each operation's variable definitions in one order.
pub fn in_variable_order<'a>(tokens: &[&'a str]) -> Vec<&'a str> {
    let mut ordered = Vec::new();
    let mut rest = tokens;
    while let [first, ..] = rest {
        let is_operation = ["query", "mutation", "subscription"].contains(first);
        let is_named = rest.get(1).is_some_and(|name| name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_'));
        let head = 1 + usize::from(is_named);
        if is_operation && rest.get(head) == Some(&"(") {
            let end = head + rest[head..].iter().scan(0, depth).position(|depth| depth == 0).unwrap();
            ordered.extend(&rest[..=head]);
            let mut variables: Vec<&[&str]> = rest[head + 1..end].split(|token| *token == "$").skip(1).collect();
            variables.sort_unstable();
            for variable in variables {
                ordered.push("$");
                ordered.extend(variable);
            }
            rest = &rest[end..];
        }
        // The definition ends with its selections, which are its only braces outside of parentheses.
        let depths = rest.iter().scan(usize::from(rest[0] == ")"), depth);
        let end = rest.iter().zip(depths).position(|(token, depth)| *token == "}" && depth == 0);
        let end = end.map_or(rest.len(), |at| at + 1);
        ordered.extend(&rest[..end]);
        rest = &rest[end..];
    }
    ordered
}

/// How many brackets are open behind a token.
fn depth(open: &mut usize, token: &&str) -> Option<usize> {
    match *token {
        "(" | "[" | "{" => *open += 1,
        ")" | "]" | "}" => *open -= 1,
        _ => {}
    }
    Some(*open)
}
