//! URL patterns (WHATWG URL Pattern standard): a text with a base URL, without `ignoreCase`.
//!
//! The text is cut into a URL's components (`constructor`), each is compiled by itself (`component`), with its fixed
//! text in canonical form (`canonical`). What a pattern leaves out it takes from the base or leaves open, as the standard
//! has it. Of regular expressions it takes what an automaton can run (`regexp`).

mod canonical;
mod component;
mod constructor;
mod regexp;
mod tokens;

use crate::error::Invalid;
use crate::matching::program::Program;
use crate::matching::steps::Steps;
use crate::matching::topic_url::{Base, TopicUrl};
use crate::matching::url_pattern::canonical::Encode;
use crate::matching::url_pattern::component::{Options, compile};
use crate::matching::url_pattern::constructor::{Component, ComponentTexts, cut};

/// The special schemes of the URL standard, with their ports.
const SPECIAL: [(&str, &str); 6] =
    [("http", "80"), ("https", "443"), ("ws", "80"), ("wss", "443"), ("ftp", "21"), ("file", "")];

/// A program for each component, in the order of the standard, but for those where every text will do.
type Components = Box<[(Component, Program)]>;

/// A pattern, compiled.
#[derive(Debug)]
pub struct UrlPattern {
    text: Box<str>,
    base: Box<str>,
    prefix: Box<str>,
    components: Components,
    steps: Steps,
}

impl UrlPattern {
    /// Parses a pattern, absolute or relative to the base.
    pub fn parse(text: &str, base: &Base) -> Result<Self, Invalid> {
        let mut steps = Steps::default();
        let components =
            compile_all(inherit(cut(text, |protocol| is_special(protocol, &mut steps))?, base), &mut steps)?;
        let prefix = place_prefix(&components).into();
        Ok(Self { text: text.into(), base: base.as_str().into(), prefix, components, steps })
    }

    /// The pattern as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The URL it is relative to.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// What the place of every topic it matches begins with (`TopicUrl::place`).
    pub fn literal_prefix(&self) -> &str {
        &self.prefix
    }

    /// The steps that it took to compile.
    pub fn steps(&self) -> Steps {
        self.steps
    }

    /// Whether the topic fits the pattern in every component.
    pub fn matches(&self, topic: &TopicUrl) -> bool {
        let texts = topic.components();
        let fits =
            |(at, program): &(Component, Program)| texts.get(*at as usize).is_some_and(|text| program.matches(text));
        self.components.iter().all(fits)
    }

    /// Bytes that it takes in memory, itself aside.
    #[cfg(test)]
    pub fn bytes(&self) -> usize {
        let programs: usize = self.components.iter().map(|(_, program)| program.bytes()).sum();
        self.text.len() + self.base.len() + self.prefix.len() + size_of_val(&*self.components) + programs
    }
}

/// What the pattern takes from the base (URL Pattern standard, "process a URLPatternInit").
fn inherit(mut parts: ComponentTexts, base: &Base) -> ComponentTexts {
    use Component::{Hash, Hostname, Pathname, Port, Protocol, Search};
    let base = base.url();
    let path = escape(base.path());
    let own = |components: &[Component]| !parts.any(components);
    let mut taken = Vec::new();
    if own(&[Protocol]) {
        taken.push((Protocol, escape(base.scheme())));
    }
    if own(&[Protocol, Hostname]) {
        taken.push((Hostname, escape(base.host_str().unwrap_or_default())));
    }
    if own(&[Protocol, Hostname, Port]) {
        taken.push((Port, base.port().map(|port| port.to_string()).unwrap_or_default()));
    }
    if own(&[Protocol, Hostname, Port, Pathname]) {
        taken.push((Pathname, path.clone()));
    }
    if own(&[Protocol, Hostname, Port, Pathname, Search]) {
        taken.push((Search, escape(base.query().unwrap_or_default())));
    }
    if own(&[Protocol, Hostname, Port, Pathname, Search, Hash]) {
        taken.push((Hash, escape(base.fragment().unwrap_or_default())));
    }
    // Only below the base's own protocol: else `urn\:isbn\:*` would get the folder of the base and match no URN.
    let relative = parts.get(Pathname).filter(|name| !["/", "\\/", "{/"].iter().any(|start| name.starts_with(start)));
    if let Some((name, (folder, _))) = relative.zip(path.rsplit_once('/'))
        && own(&[Protocol])
        && !base.cannot_be_a_base()
    {
        taken.push((Pathname, format!("{folder}/{name}")));
    }
    taken.into_iter().for_each(|(component, text)| parts.set(component, text));
    parts
}

/// Text of a URL as a pattern of itself.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if "+*?:{}()\\".contains(c) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

/// Compiles the pattern of each component.
fn compile_all(mut parts: ComponentTexts, steps: &mut Steps) -> Result<Components, Invalid> {
    if let (Some(protocol), Some(port)) = (parts.get(Component::Protocol), parts.get(Component::Port))
        && SPECIAL.contains(&(protocol, port))
    {
        parts.set(Component::Port, "");
    }
    let special = is_special(parts.get(Component::Protocol).unwrap_or("*"), steps)?;
    let mut components = Vec::new();
    for component in Component::ALL {
        if let Some(text) = parts.get(component).filter(|text| *text != "*") {
            components.push((component, compile(text, options(component, text, special), steps)?));
        }
    }
    Ok(components.into())
}

/// Whether a pattern of a protocol takes in one of the special schemes.
fn is_special(protocol: &str, steps: &mut Steps) -> Result<bool, Invalid> {
    let program = compile(protocol, Options::plain(canonical::protocol), steps)?;
    Ok(SPECIAL.iter().any(|(scheme, _)| program.matches(scheme)))
}

/// Whether a pattern of a host is one of an IPv6 address (URL Pattern standard, "hostname pattern is an IPv6 address").
fn is_ipv6(text: &str) -> bool {
    text.len() > 1 && ["[", "{[", "\\["].iter().any(|start| text.starts_with(start))
}

fn options(component: Component, text: &str, special: bool) -> Options {
    let encode: Encode = match component {
        Component::Protocol => canonical::protocol,
        Component::Username | Component::Password => canonical::credential,
        Component::Hostname if is_ipv6(text) => canonical::ipv6_hostname,
        Component::Hostname => canonical::hostname,
        Component::Port => canonical::port,
        Component::Pathname if special => canonical::pathname,
        Component::Pathname => canonical::opaque_pathname,
        Component::Search => canonical::search,
        Component::Hash => canonical::hash,
    };
    match component {
        Component::Hostname => Options { delimiter: Some('.'), prefix: None, encode },
        Component::Pathname if special => Options { delimiter: Some('/'), prefix: Some('/'), encode },
        _ => Options::plain(encode),
    }
}

/// The beginning of `scheme://host:port/path` that all topics of a pattern share.
fn place_prefix(components: &Components) -> String {
    use Component::{Hostname, Pathname, Port, Protocol};
    let mut prefix = String::new();
    for (component, behind) in [(Protocol, "://"), (Hostname, ":"), (Port, ""), (Pathname, "")] {
        let Some((_, program)) = components.iter().find(|(at, _)| *at == component) else { break };
        prefix.push_str(program.head());
        if program.literal().is_none() {
            break;
        }
        prefix.push_str(behind);
    }
    prefix
}

#[cfg(test)]
mod tests;
