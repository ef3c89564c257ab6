use proc_macro2::{Span, TokenStream};
use syn::visit::{self, Visit};
use syn::{Meta, UseTree};

use crate::imports::Name;
use crate::source::SourceFile;
use crate::tokens::{Token, tokens_of, word};

/// A leaf of a `use`.
#[derive(Debug)]
pub struct Use {
    /// The module it stands in.
    pub scope: Name,
    /// As it is written; begins with an empty segment where the text begins with `::`.
    pub path: Vec<String>,
    /// The name it gets there; none for `*`.
    pub name: Option<String>,
    pub is_reexport: bool,
    pub line: usize,
}

/// A path of several segments, or of a macro.
#[derive(Debug)]
pub struct Written {
    pub scope: Name,
    pub path: Vec<String>,
    pub is_macro: bool,
    pub line: usize,
}

/// What a file refers to, as it is written.
#[derive(Debug)]
pub struct Reading<'f> {
    file: &'f SourceFile,
    scope: Name,
    pub uses: Vec<Use>,
    pub written: Vec<Written>,
    /// Its modules that are no files.
    pub inline: Vec<Name>,
    /// Macros by example that it declares, and whether the crate exports them.
    pub macros: Vec<(String, bool)>,
}

impl<'f> Reading<'f> {
    pub fn of(file: &'f SourceFile) -> Self {
        let mut reading = Self {
            file,
            scope: file.module(),
            uses: Vec::new(),
            written: Vec::new(),
            inline: Vec::new(),
            macros: Vec::new(),
        };
        reading.visit_file(&file.syntax());
        reading
    }

    fn record(&mut self, path: Vec<String>, is_macro: bool, span: Span) {
        let says_something = is_macro || path.len() > 1;
        if says_something && self.file.holds(span) {
            self.written.push(Written { scope: self.scope.clone(), path, is_macro, line: span.start().line });
        }
    }

    fn use_tree(&mut self, tree: &UseTree, prefix: &[String], is_reexport: bool, within: Option<Span>) {
        let longer = |name: &syn::Ident| prefix.iter().cloned().chain([word(name)]).collect::<Vec<_>>();
        let (path, name, span) = match tree {
            UseTree::Path(path) => return self.use_tree(&path.tree, &longer(&path.ident), is_reexport, within),
            UseTree::Group(group) => {
                return group.items.iter().for_each(|tree| self.use_tree(tree, prefix, is_reexport, within));
            }
            UseTree::Glob(glob) => (prefix.to_vec(), None, glob.star_token.spans[0]),
            UseTree::Name(name) if name.ident == "self" => (prefix.to_vec(), prefix.last().cloned(), name.ident.span()),
            UseTree::Name(name) => (longer(&name.ident), Some(word(&name.ident)), name.ident.span()),
            UseTree::Rename(name) if name.ident == "self" => {
                (prefix.to_vec(), Some(word(&name.rename)), name.ident.span())
            }
            UseTree::Rename(name) => (longer(&name.ident), Some(word(&name.rename)), name.ident.span()),
        };
        let span = within.unwrap_or(span);
        if self.file.holds(span) {
            self.uses.push(Use { scope: self.scope.clone(), path, name, is_reexport, line: span.start().line });
        }
    }

    /// Paths inside a macro or an attribute, whose meaning the syntax tree does not know.
    fn tokens(&mut self, stream: TokenStream, texts: Texts) {
        let tokens = tokens_of(stream);
        let is_mark = |at: Option<usize>, mark: char| {
            at.and_then(|at| tokens.get(at)).is_some_and(|(token, _)| *token == Token::Mark(mark))
        };
        let mut at = 0;
        while let Some((token, span)) = tokens.get(at) {
            let start = at;
            at += 1;
            match token {
                Token::Text(text) if texts == Texts::MayBePaths && text.contains("::") => {
                    if let Ok(path) = syn::parse_str::<syn::Path>(text) {
                        self.record(segments(&path), false, *span);
                    }
                }
                Token::Word(first) if first == "use" => {
                    let tree = tokens[at..].iter().take_while(|(token, _)| !token.is(";"));
                    let tree: String = tree.map(|(token, _)| as_in_a_use(token)).collect();
                    if let Ok(tree) = syn::parse_str::<UseTree>(&tree) {
                        self.use_tree(&tree, &[], false, Some(*span));
                        at += 1;
                    }
                }
                Token::Word(first) => {
                    let mut path = vec![first.clone()];
                    while let [(Token::Mark(':'), _), (Token::Mark(':'), _), (Token::Word(next), _), ..] = &tokens[at..]
                    {
                        path.push(next.clone());
                        at += 3;
                    }
                    let before = |steps: usize| start.checked_sub(steps);
                    let is_member = is_mark(before(1), '.') && !is_mark(before(2), '.');
                    let is_parameter = is_mark(before(1), '$') && first != "crate";
                    let follows_colons = is_mark(before(1), ':') && is_mark(before(2), ':');
                    let goes_on = follows_colons && is_mark(before(3), '>');
                    if follows_colons {
                        path.insert(0, String::new());
                    }
                    if !(is_member || is_parameter || goes_on) {
                        let opens = ['(', '[', '{'].iter().any(|mark| is_mark(Some(at + 1), *mark));
                        self.record(path, is_mark(Some(at), '!') && opens, *span);
                    }
                }
                _ => {}
            }
        }
    }
}

/// What texts among tokens are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Texts {
    /// `#[serde(default = "a::b")]`
    MayBePaths,
    AreTexts,
}

/// `$crate::a as b` comes to `crate::a as b`.
fn as_in_a_use(token: &Token) -> String {
    match token {
        Token::Word(word) => format!("{word} "),
        Token::Mark(mark) if *mark != '$' => mark.to_string(),
        _ => String::new(),
    }
}

fn segments(path: &syn::Path) -> Vec<String> {
    let leading = path.leading_colon.map(|_| String::new());
    leading.into_iter().chain(path.segments.iter().map(|segment| word(&segment.ident))).collect()
}

impl<'ast> Visit<'ast> for Reading<'_> {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let prefix = item.leading_colon.map(|_| String::new());
        let is_reexport = !matches!(item.vis, syn::Visibility::Inherited);
        self.use_tree(&item.tree, prefix.as_slice(), is_reexport, None);
    }

    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        let outside = self.scope.clone();
        self.scope.push(word(&module.ident));
        if module.content.is_some() {
            self.inline.push(self.scope.clone());
        }
        visit::visit_item_mod(self, module);
        self.scope = outside;
    }

    fn visit_item_macro(&mut self, item: &'ast syn::ItemMacro) {
        if let Some(name) = item.ident.as_ref().filter(|name| self.file.holds(name.span())) {
            let is_exported = item.attrs.iter().any(|attribute| attribute.path().is_ident("macro_export"));
            self.macros.push((word(name), is_exported));
        }
        visit::visit_item_macro(self, item);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if let Some(first) = path.segments.first() {
            self.record(segments(path), false, first.ident.span());
        }
        visit::visit_path(self, path);
    }

    /// `pub(in crate::room)` imports nothing.
    fn visit_vis_restricted(&mut self, _: &'ast syn::VisRestricted) {}

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        if let Some(first) = call.path.segments.first() {
            self.record(segments(&call.path), true, first.ident.span());
        }
        self.tokens(call.tokens.clone(), Texts::AreTexts);
    }

    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        match &attribute.meta {
            Meta::NameValue(pair) if pair.path.is_ident("doc") => {}
            Meta::List(list) => {
                self.visit_path(&list.path);
                self.tokens(list.tokens.clone(), Texts::MayBePaths);
            }
            Meta::Path(_) | Meta::NameValue(_) => visit::visit_attribute(self, attribute),
        }
    }
}
