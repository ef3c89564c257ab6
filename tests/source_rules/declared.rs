use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use crate::source::SourceFile;
use crate::tokens::{tokens_of, word};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A struct, enum, union, trait or type alias.
    Type,
    Module,
    Macro,
}

/// A name that a file declares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declared {
    pub kind: Kind,
    pub name: String,
    pub line: usize,
}

/// A function with a body: the line of its `fn`, and how many lines it has from there to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    pub name: String,
    pub line: usize,
    pub lines: usize,
}

/// What a file declares, also inside the macros that it calls.
pub struct Declarations<'f> {
    file: &'f SourceFile,
    pub names: Vec<Declared>,
    pub functions: Vec<Function>,
}

impl<'f> Declarations<'f> {
    pub fn of(file: &'f SourceFile) -> Self {
        let mut declarations = Self { file, names: Vec::new(), functions: Vec::new() };
        declarations.visit_file(&file.syntax());
        declarations
    }

    fn name(&mut self, kind: Kind, name: &syn::Ident) {
        if self.file.holds(name.span()) {
            self.names.push(Declared { kind, name: word(name), line: name.span().start().line });
        }
    }

    fn function(&mut self, signature: &syn::Signature, body: &syn::Block) {
        if self.file.holds(signature.ident.span()) {
            let (first, last) = (signature.span().start().line, body.span().end().line);
            self.functions.push(Function { name: word(&signature.ident), line: first, lines: last - first + 1 });
        }
    }
}

impl<'ast> Visit<'ast> for Declarations<'_> {
    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        self.name(Kind::Type, &item.ident);
        visit::visit_item_struct(self, item);
    }

    fn visit_item_enum(&mut self, item: &'ast syn::ItemEnum) {
        self.name(Kind::Type, &item.ident);
        visit::visit_item_enum(self, item);
    }

    fn visit_item_union(&mut self, item: &'ast syn::ItemUnion) {
        self.name(Kind::Type, &item.ident);
        visit::visit_item_union(self, item);
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.name(Kind::Type, &item.ident);
        visit::visit_item_trait(self, item);
    }

    fn visit_item_type(&mut self, item: &'ast syn::ItemType) {
        self.name(Kind::Type, &item.ident);
        visit::visit_item_type(self, item);
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.name(Kind::Module, &item.ident);
        visit::visit_item_mod(self, item);
    }

    fn visit_item_macro(&mut self, item: &'ast syn::ItemMacro) {
        if let Some(name) = &item.ident {
            self.name(Kind::Macro, name);
        }
        visit::visit_item_macro(self, item);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        for pair in tokens_of(call.tokens.clone()).windows(2) {
            let [(keyword, _), (name, span)] = pair else { continue };
            let declares = ["struct", "enum", "union", "trait"].iter().any(|word| keyword.is(word));
            if let Some(name) = name.word().filter(|_| declares && self.file.holds(*span)) {
                let line = span.start().line;
                self.names.push(Declared { kind: Kind::Type, name: name.to_owned(), line });
            }
        }
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.function(&item.sig, &item.block);
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.function(&item.sig, &item.block);
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(body) = &item.default {
            self.function(&item.sig, body);
        }
        visit::visit_trait_item_fn(self, item);
    }
}

#[test]
fn what_a_file_declares_is_found() {
    let text = "
        pub struct A; enum B { C } union U { a: u8 } trait T { type Inner; fn with() {\n\n} fn without(); }
        mod inner { type Alias = u8; macro_rules! m { () => { struct $name; } } }
        rows! { /// Doc.\n pub struct Row { a: u8 } }
        impl T for A { type Inner = u8; fn with() { enum Local {} } }
        #[cfg(test)] mod tests { struct Hidden; fn hidden() {} }
    ";
    let file = SourceFile::of("src/a.rs", text).without_tests();
    let declarations = Declarations::of(&file);
    let of = |wanted: Kind| -> Vec<(&str, usize)> {
        let names = declarations.names.iter().filter(|declared| declared.kind == wanted);
        names.map(|declared| (declared.name.as_str(), declared.line)).collect()
    };
    assert_eq!(of(Kind::Type), [("A", 2), ("B", 2), ("U", 2), ("T", 2), ("Alias", 5), ("Row", 7), ("Local", 8)]);
    assert_eq!((of(Kind::Module), of(Kind::Macro)), (vec![("inner", 5)], vec![("m", 5)]));
    let functions: Vec<_> = declarations.functions.iter().map(|f| (f.name.as_str(), f.line, f.lines)).collect();
    assert_eq!(functions, [("with", 2, 3), ("with", 8, 1)]);
}
