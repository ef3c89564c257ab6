//! Texts of contracts, as the API reference shows them: the shape without its notes, and the notes by member.

/// A shape, and what is noted of its members and of the whole.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// The text without notes.
    pub text: String,
    /// The notes of members, each with the names that lead to its member.
    pub members: Vec<(String, String)>,
    /// The note of the whole.
    pub note: String,
}

impl Shape {
    /// Reads a text of a contract.
    pub fn of(text: &str) -> Shape {
        let mut shape = Shape::default();
        // The names of the objects that are open, and of the member that was named last in the innermost.
        let mut path = vec![String::new()];
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            let taken = match c {
                '<' => shape.take_note(rest, &path),
                '\'' => 1 + rest[1..].find('\'').expect("a literal ends") + 1,
                '/' if rest.starts_with("/^") => rest.find("$/").expect("a pattern ends") + 2,
                '{' => {
                    path.push(String::new());
                    1
                }
                '}' => {
                    path.pop();
                    1
                }
                c if c.is_ascii_alphabetic() => {
                    let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || "_-".contains(c)));
                    let (word, behind) = rest.split_at(end.unwrap_or(rest.len()));
                    if behind.trim_start_matches('?').starts_with(':') {
                        *path.last_mut().unwrap() = word.to_owned();
                    }
                    word.len()
                }
                c => c.len_utf8(),
            };
            if c != '<' {
                shape.text.push_str(&rest[..taken]);
            }
            rest = &rest[taken..];
        }
        shape
    }

    /// Takes a note from the front of a text, and says how long it is with its brackets.
    fn take_note(&mut self, text: &str, path: &[String]) -> usize {
        let end = text.find('>').expect("a note ends");
        let names: Vec<&str> = path.iter().map(String::as_str).filter(|name| !name.is_empty()).collect();
        let note = text[1..end].to_owned();
        match names.is_empty() {
            true => self.note = note,
            false => self.members.push((names.join("."), note)),
        }
        self.text.truncate(self.text.trim_end().len());
        end + 1
    }
}

#[test]
fn a_note_is_told_apart_from_the_shape() {
    let shape = Shape::of("{a: string/^[<{]$/ <first>, b??: {c: 'x<y' <inner>, d: int}[] <list>, e: User} <whole>");
    assert_eq!(shape.text, "{a: string/^[<{]$/, b??: {c: 'x<y', d: int}[], e: User}");
    let members = [("a", "first"), ("b.c", "inner"), ("b", "list")].map(|(a, b)| (a.to_owned(), b.to_owned()));
    assert_eq!((shape.members.as_slice(), shape.note.as_str()), (members.as_slice(), "whole"));
    let param = Shape::of("q?: string(..9) <text in a name>");
    assert_eq!((param.text.as_str(), param.members[0].1.as_str()), ("q?: string(..9)", "text in a name"));
    assert_eq!(Shape::of("limit <rows>"), Shape { text: "limit".into(), note: "rows".into(), members: vec![] });
}
