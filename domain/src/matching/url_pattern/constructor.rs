//! A pattern string cut into the components of a URL (URL Pattern standard, "Constructor string parsing").

use super::tokens::{PatternToken, Policy, TokenType, tokens};
use crate::error::Invalid;

/// The components of a URL, in the order of the standard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Component {
    /// Without its colon.
    Protocol,
    /// Before `@`.
    Username,
    /// Before `@`, behind a colon.
    Password,
    /// Without its port.
    Hostname,
    /// Empty where it is the protocol's own.
    Port,
    /// With its first slash.
    Pathname,
    /// Without `?`.
    Search,
    /// Without `#`.
    Hash,
}

impl Component {
    /// All of them, each at its place in `ComponentTexts`.
    pub const ALL: [Self; 8] = [
        Self::Protocol,
        Self::Username,
        Self::Password,
        Self::Hostname,
        Self::Port,
        Self::Pathname,
        Self::Search,
        Self::Hash,
    ];
}

/// A text for each component, or none.
#[derive(Debug, Default)]
pub struct ComponentTexts([Option<String>; 8]);

impl ComponentTexts {
    /// The text of a component.
    pub fn get(&self, component: Component) -> Option<&str> {
        self.0.get(component as usize)?.as_deref()
    }

    /// Whether one of them has a text.
    pub fn any(&self, components: &[Component]) -> bool {
        components.iter().any(|component| self.get(*component).is_some())
    }

    /// Gives a component its text.
    pub fn set(&mut self, component: Component, text: impl Into<String>) {
        if let Some(place) = self.0.get_mut(component as usize) {
            *place = Some(text.into());
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ConstructorState {
    Init,
    Authority,
    In(Component),
    Done,
}

use Component::{Hash, Hostname, Password, Pathname, Port, Protocol, Search, Username};

/// Cuts a pattern string. `is_special` tells whether a pattern of a protocol takes in one of the special schemes.
pub fn cut(text: &str, mut is_special: impl FnMut(&str) -> Result<bool, Invalid>) -> Result<ComponentTexts, Invalid> {
    let tokens = tokens(text, Policy::Lenient)?;
    let mut parser = ConstructorParser {
        text,
        tokens,
        parts: ComponentTexts::default(),
        start: 0,
        at: 0,
        step: 1,
        groups: 0,
        brackets: 0,
        special: false,
        state: ConstructorState::Init,
    };
    while parser.state != ConstructorState::Done && parser.at < parser.tokens.len() {
        parser.step = 1;
        parser.read(&mut is_special)?;
        parser.at += parser.step;
    }
    if parser.parts.get(Hostname).is_some() && parser.parts.get(Port).is_none() {
        parser.parts.set(Port, "");
    }
    Ok(parser.parts)
}

struct ConstructorParser<'a> {
    text: &'a str,
    tokens: Vec<PatternToken<'a>>,
    parts: ComponentTexts,
    start: usize,
    at: usize,
    step: usize,
    groups: u32,
    brackets: i32,
    special: bool,
    state: ConstructorState,
}

impl<'a> ConstructorParser<'a> {
    fn read(&mut self, is_special: &mut impl FnMut(&str) -> Result<bool, Invalid>) -> Result<(), Invalid> {
        match self.kind(self.at) {
            TokenType::End => {
                self.end();
                return Ok(());
            }
            TokenType::Open => {
                self.groups += 1;
                return Ok(());
            }
            TokenType::Close if self.groups > 0 => self.groups -= 1,
            _ if self.groups > 0 => return Ok(()),
            _ => {}
        }
        match self.state {
            ConstructorState::Init if self.says(self.at, ":") => self.rewind(ConstructorState::In(Protocol)),
            ConstructorState::In(Protocol) if self.says(self.at, ":") => {
                self.special = is_special(self.component())?;
                if self.says(self.at + 1, "/") && self.says(self.at + 2, "/") {
                    self.change(ConstructorState::Authority, 3);
                } else if self.special {
                    self.change(ConstructorState::Authority, 1);
                } else {
                    self.change(ConstructorState::In(Pathname), 1);
                }
            }
            ConstructorState::Authority if self.says(self.at, "@") => self.rewind(ConstructorState::In(Username)),
            ConstructorState::Authority
                if self.says(self.at, "/") || self.starts_search() || self.says(self.at, "#") =>
            {
                self.rewind(ConstructorState::In(Hostname));
            }
            ConstructorState::In(Username) if self.says(self.at, ":") => self.change(ConstructorState::In(Password), 1),
            ConstructorState::In(Username | Password) if self.says(self.at, "@") => {
                self.change(ConstructorState::In(Hostname), 1)
            }
            ConstructorState::In(Hostname) if self.says(self.at, "[") => self.brackets += 1,
            ConstructorState::In(Hostname) if self.says(self.at, "]") => self.brackets -= 1,
            ConstructorState::In(Hostname) if self.says(self.at, ":") && self.brackets == 0 => {
                self.change(ConstructorState::In(Port), 1)
            }
            ConstructorState::In(Hostname | Port) if self.says(self.at, "/") => {
                self.change(ConstructorState::In(Pathname), 0)
            }
            ConstructorState::In(Hostname | Port | Pathname) if self.starts_search() => {
                self.change(ConstructorState::In(Search), 1)
            }
            ConstructorState::In(Hostname | Port | Pathname | Search) if self.says(self.at, "#") => {
                self.change(ConstructorState::In(Hash), 1)
            }
            _ => {}
        }
        Ok(())
    }

    /// At the end of the text: without a protocol it is a relative pattern, without `@` there are no credentials.
    fn end(&mut self) {
        match self.state {
            ConstructorState::Init => {
                (self.at, self.step) = (self.start, 0);
                if self.says(self.at, "#") {
                    self.change(ConstructorState::In(Hash), 1);
                } else if self.starts_search() {
                    self.change(ConstructorState::In(Search), 1);
                } else {
                    self.change(ConstructorState::In(Pathname), 0);
                }
            }
            ConstructorState::Authority => self.rewind(ConstructorState::In(Hostname)),
            _ => self.change(ConstructorState::Done, 0),
        }
    }

    fn rewind(&mut self, state: ConstructorState) {
        (self.at, self.step, self.state) = (self.start, 0, state);
    }

    fn change(&mut self, state: ConstructorState, skip: usize) {
        if let ConstructorState::In(component) = self.state {
            let text = self.component();
            self.parts.set(component, text);
        }
        if let ConstructorState::In(new) = state {
            let was = match self.state {
                ConstructorState::In(component) => Some(component),
                ConstructorState::Authority => Some(Password),
                _ => None,
            };
            self.fill(was, new);
        }
        self.state = state;
        self.at += skip;
        (self.start, self.step) = (self.at, 0);
    }

    /// What was left out between two components is empty, not open.
    fn fill(&mut self, was: Option<Component>, new: Component) {
        let Some(was) = was else { return };
        if was <= Password && new >= Port && self.parts.get(Hostname).is_none() {
            self.parts.set(Hostname, "");
        }
        if was <= Port && new >= Search && self.parts.get(Pathname).is_none() {
            self.parts.set(Pathname, if self.special { "/" } else { "" });
        }
        if was <= Pathname && new == Hash && self.parts.get(Search).is_none() {
            self.parts.set(Search, "");
        }
    }

    fn component(&self) -> &'a str {
        let place = |index: usize| self.tokens.get(index).map_or(self.text.len(), |token| token.at);
        self.text.get(place(self.start)..place(self.at)).unwrap_or_default()
    }

    fn kind(&self, index: usize) -> TokenType {
        self.tokens.get(index).map_or(TokenType::End, |token| token.kind)
    }

    /// Whether a token is this character and means nothing to patterns.
    fn says(&self, index: usize, value: &str) -> bool {
        let plain = matches!(self.kind(index), TokenType::Char | TokenType::EscapedChar | TokenType::InvalidChar);
        plain && self.tokens.get(index).is_some_and(|token| token.value == value)
    }

    /// Whether `?` begins the search here: it does not where it could be a modifier of what stands before it.
    fn starts_search(&self) -> bool {
        if self.says(self.at, "?") {
            return true;
        }
        if self.tokens.get(self.at).is_none_or(|token| token.value != "?") {
            return false;
        }
        let before = self.at.checked_sub(1).map(|before| self.kind(before));
        !matches!(before, Some(TokenType::Name | TokenType::Regexp | TokenType::Close | TokenType::Asterisk))
    }
}
