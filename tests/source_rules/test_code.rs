use std::collections::BTreeSet;
use std::ops::Range;

use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Attribute, Meta};

use crate::source::SourceFile;
use crate::tokens::word;

/// What stands under `#[cfg(test)]`: its bytes, and the modules that have files of their own.
#[derive(Default)]
pub struct TestCode {
    pub ranges: Vec<Range<usize>>,
    within: Vec<String>,
    pub modules: BTreeSet<Vec<String>>,
}

impl TestCode {
    pub fn of(file: &SourceFile) -> Self {
        let mut tests = Self { within: file.module(), ..Self::default() };
        tests.visit_file(&file.syntax());
        tests
    }

    /// Takes a piece of source down if it is a test, or else looks inside.
    fn visit<'ast, T: Spanned>(
        &mut self,
        attributes: &[Attribute],
        piece: &'ast T,
        look_inside: fn(&mut Self, &'ast T),
    ) {
        if attributes.iter().any(is_for_tests) {
            self.ranges.push(piece.span().byte_range());
        } else {
            look_inside(self, piece);
        }
    }
}

/// `#[cfg(test)]`, alone or with conditions that must hold too.
fn is_for_tests(attribute: &Attribute) -> bool {
    let Meta::List(list) = &attribute.meta else { return false };
    let is_test = |meta: &Meta| meta.path().is_ident("test");
    match list.parse_args::<Meta>() {
        Ok(Meta::List(all)) if list.path.is_ident("cfg") && all.path.is_ident("all") => all
            .parse_args_with(syn::punctuated::Punctuated::<Meta, syn::Token![,]>::parse_terminated)
            .is_ok_and(|metas| metas.iter().any(is_test)),
        Ok(meta) => list.path.is_ident("cfg") && is_test(&meta),
        Err(_) => false,
    }
}

/// The attributes of a piece of source that has several kinds.
macro_rules! attributes {
    ($piece:ident: $kind:ident, $($variant:ident)+) => {
        match $piece {
            $(syn::$kind::$variant(inner) => inner.attrs.as_slice(),)+
            _ => &[],
        }
    };
}

impl<'ast> Visit<'ast> for TestCode {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        let attributes = attributes!(item: Item,
            Const Enum ExternCrate Fn ForeignMod Impl Macro Mod Static Struct Trait Type Union Use);
        self.visit(attributes, item, visit::visit_item);
        if let syn::Item::Mod(module) = item
            && module.content.is_none()
            && attributes.iter().any(is_for_tests)
        {
            self.modules.insert(self.within.iter().cloned().chain([word(&module.ident)]).collect());
        }
    }

    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        self.within.push(word(&module.ident));
        visit::visit_item_mod(self, module);
        self.within.pop();
    }

    fn visit_impl_item(&mut self, item: &'ast syn::ImplItem) {
        self.visit(attributes!(item: ImplItem, Const Fn Type Macro), item, visit::visit_impl_item);
    }

    fn visit_trait_item(&mut self, item: &'ast syn::TraitItem) {
        self.visit(attributes!(item: TraitItem, Const Fn Type Macro), item, visit::visit_trait_item);
    }

    fn visit_stmt(&mut self, statement: &'ast syn::Stmt) {
        self.visit(attributes!(statement: Stmt, Local Macro), statement, visit::visit_stmt);
    }

    fn visit_field(&mut self, field: &'ast syn::Field) {
        self.visit(&field.attrs, field, visit::visit_field);
    }

    fn visit_variant(&mut self, variant: &'ast syn::Variant) {
        self.visit(&variant.attrs, variant, visit::visit_variant);
    }

    fn visit_arm(&mut self, arm: &'ast syn::Arm) {
        self.visit(&arm.attrs, arm, visit::visit_arm);
    }
}

#[test]
fn tests_are_left_out_wherever_they_stand() {
    let text = "
        impl A { #[cfg(test)] pub fn a() { x() } fn b() {} }
        enum E { #[cfg(test)] A(x), B }
        struct S { #[cfg(all(test, unix))] a: x, b: u8 }
        #[cfg(any(test, unix))] fn kept() {}
        #[cfg(not(test))] fn kept() {}
        fn f() { #[cfg(test)] let a = x(); match b { #[cfg(test)] B => x(), _ => {} } }
        mod inner { #[cfg(test)] const X: x = x { a: 1 }; }
        #[cfg(test)] macro_rules! x { () => {} }
    ";
    let file = SourceFile::of("src/a.rs", text);
    assert_eq!(file.find(&["x"]).len(), 8);
    let file = file.without_tests();
    assert_eq!((file.find(&["x"]).len(), file.find(&["kept"]).len()), (0, 2));
    let files = [
        ("src/a/mod.rs", "mod b; #[cfg(test)] mod tests; mod inner { #[cfg(test)] mod model; }"),
        ("src/a/b.rs", ""),
        ("src/a/inner/model.rs", ""),
        ("src/a/tests.rs", ""),
        ("src/a/tests/deep.rs", ""),
    ];
    let files = crate::source::without_tests(files.map(|(path, text)| SourceFile::of(path, text)).into());
    assert_eq!(files.iter().map(|file| file.path.as_str()).collect::<Vec<_>>(), ["src/a/mod.rs", "src/a/b.rs"]);
}
