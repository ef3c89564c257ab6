//! CSS custom properties that a tenant may set: an allow-list of names and values.
//!
//! Invariant: an accepted name or value cannot end its declaration, open a comment, escape a character, or make a browser
//! fetch or run anything. It can be written into a style sheet as it is.

use crate::error::Invalid;

/// Most bytes of a value.
pub const MAX_VALUE: usize = 200;
/// Most characters of a name after its two hyphens.
const MAX_NAME: usize = 40;
/// Most families of a list of fonts.
const MAX_FONTS: usize = 10;
/// Units of lengths.
const LENGTHS: &[&str] =
    &["%", "px", "em", "rem", "ch", "ex", "lh", "rlh", "vw", "vh", "vmin", "vmax", "pt", "pc", "in", "cm", "mm"];
/// Units of a colour's components.
const COMPONENTS: &[&str] = &["%", "deg", "rad", "turn"];
/// Functions that make a colour of three or four components, with commas.
const COMMA_COLOURS: &[&str] = &["rgb", "rgba", "hsl", "hsla"];
/// Functions that make a colour of three components, with spaces.
const SPACED_COLOURS: &[&str] = &["rgb", "hsl", "oklch"];

/// Checks the name of a custom property: `--` and 1 to 40 lower-case letters, digits and hyphens.
pub fn check_name(name: &str) -> Result<(), Invalid> {
    let fits = name.strip_prefix("--").is_some_and(|rest| {
        (1..=MAX_NAME).contains(&rest.len())
            && rest.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    });
    let invalid = || Invalid::new("invalid_name", "must be -- and 1 to 40 lower-case letters, digits and hyphens");
    fits.then_some(()).ok_or_else(invalid)
}

/// Checks a value: a colour, a length, a number, or a list of font families.
pub fn check_value(value: &str) -> Result<(), Invalid> {
    let fits = value.len() <= MAX_VALUE
        && (is_hex_colour(value) || is_measure(value, LENGTHS) || is_colour_function(value) || is_names(value));
    let invalid = || {
        Invalid::new(
            "invalid_css_value",
            "must be a colour, a length, a number or a list of font families, such as #0a7, 12px or Inter, sans-serif",
        )
    };
    fits.then_some(()).ok_or_else(invalid)
}

/// `#` and 3, 4, 6 or 8 hexadecimal digits.
fn is_hex_colour(text: &str) -> bool {
    let digits = text.strip_prefix('#').unwrap_or_default();
    matches!(digits.len(), 3 | 4 | 6 | 8) && digits.bytes().all(|b| b.is_ascii_hexdigit())
}

/// A number, alone or with one of these units.
fn is_measure(text: &str, units: &[&str]) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let end = unsigned.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
    let (number, unit) = unsigned.split_at(end);
    let (whole, fraction) = number.split_once('.').map_or((number, None), |(whole, fraction)| (whole, Some(fraction)));
    let digits = |text: &str| text.len() <= 6 && text.bytes().all(|b| b.is_ascii_digit());
    let is_number = match fraction {
        Some(fraction) => digits(whole) && digits(fraction) && !fraction.is_empty(),
        None => digits(whole) && !whole.is_empty(),
    };
    is_number && (unit.is_empty() || units.contains(&unit))
}

/// A function of [`COMMA_COLOURS`] or [`SPACED_COLOURS`] over numbers.
fn is_colour_function(text: &str) -> bool {
    let Some((name, inside)) = text.strip_suffix(')').and_then(|text| text.split_once('(')) else { return false };
    if inside.contains(',') {
        COMMA_COLOURS.contains(&name)
            && matches!(listed(inside).count(), 3 | 4)
            && listed(inside).all(|part| is_measure(part, COMPONENTS))
    } else {
        SPACED_COLOURS.contains(&name)
            && inside.split(' ').count() == 3
            && inside.split(' ').all(|part| is_measure(part, COMPONENTS))
    }
}

/// A list of names, quoted or plain: families of fonts. A colour's name is a list of one.
fn is_names(text: &str) -> bool {
    listed(text).count() <= MAX_FONTS && listed(text).all(|name| is_quoted(name) || name.split(' ').all(is_identifier))
}

/// The entries of a list: separated by commas, each of which one space may follow.
fn listed(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').enumerate().map(|(at, part)| if at == 0 { part } else { part.strip_prefix(' ').unwrap_or(part) })
}

/// Letters, digits, spaces, hyphens, underscores and dots between two quotes of one kind.
fn is_quoted(text: &str) -> bool {
    let within = |quote: char| text.strip_prefix(quote).and_then(|text| text.strip_suffix(quote));
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b' ' | b'-' | b'_' | b'.');
    within('"').or_else(|| within('\'')).is_some_and(|name| !name.is_empty() && name.bytes().all(plain))
}

/// An optional hyphen, a letter or underscore, then letters, digits, hyphens and underscores.
fn is_identifier(text: &str) -> bool {
    let rest = text.strip_prefix('-').unwrap_or(text);
    rest.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && rest.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GOOD: &[&str] = &[
        "#fff",
        "#FFF8",
        "#aabbcc",
        "#aabbccdd",
        "rgb(1,2,3)",
        "rgb(1, 2, 3)",
        "rgba(0, 0, 0, .5)",
        "rgb(10% 20% 30%)",
        "hsl(120deg, 50%, 50%)",
        "hsl(0.5turn 50% 50%)",
        "oklch(70% 0.1 200)",
        "oklch(0.7 -0.1 200deg)",
        "rebeccapurple",
        "transparent",
        "0",
        "1.5",
        "-.25",
        "16px",
        "-1.5rem",
        "100%",
        "12vmin",
        "Inter",
        "Inter, sans-serif",
        "Helvetica Neue,Arial",
        "-apple-system, BlinkMacSystemFont, \"Segoe UI\", 'Noto Sans 3.0', ui-sans-serif",
    ];

    const BAD: &[&str] = &[
        "",
        " ",
        " red",
        "red ",
        "red  blue",
        "red;",
        "red;color:blue",
        "red}body{display:none",
        "red{",
        "url(https://evil.test/x)",
        "url(x)",
        "URL(x)",
        "image(x)",
        "image-set(\"x\" 1x)",
        "var(--other)",
        "env(x)",
        "attr(title)",
        "calc(1px + 2px)",
        "expression(alert(1))",
        "expression (1)",
        "element(#x)",
        "javascript:alert(1)",
        "-moz-binding:url(x)",
        "@import",
        "red !important",
        "red/**/",
        "/* red",
        "*/",
        "<!--",
        "</style><script>",
        "\\72 ed",
        "\\",
        "\"a\\\"b\"",
        "\"a\"b\"",
        "\"a",
        "'a\"",
        "\"",
        "\"\"",
        "\"a\nb\"",
        "\"url(x)\"",
        "red\n",
        "red\0",
        "r\u{e9}d",
        "\"\u{201d}\"",
        "#ff",
        "#fffff",
        "#ggg",
        "#",
        "#fffg",
        "rgb(1,2)",
        "rgb(1,2,3,4,5)",
        "rgb(1 2)",
        "rgb(1 2 3 4)",
        "rgb(1 2 3 / 50%)",
        "rgb(a,b,c)",
        "rgb(1,,3)",
        "rgb(1,2,3",
        "rgb 1,2,3)",
        "rgb(rgb(1,2,3),2,3)",
        "rgb(1,2,3))",
        "rgb(1px,2,3)",
        "RGB(1,2,3)",
        "oklch(1,2,3)",
        "color(srgb 1 1 1)",
        "1..5",
        "1.",
        ".",
        "-",
        "--1",
        "+-1",
        "1e9",
        "1234567",
        "1 px",
        "1dpi",
        "1px2",
        "1px 2px",
        "--brand",
        "--",
        "Inter,",
        "Inter,  Arial",
        "rgb( 1,2,3)",
        ",Inter",
        "a,b,c,d,e,f,g,h,i,j,k",
        "1abc",
    ];

    #[test]
    fn what_a_brand_needs_passes() {
        for value in GOOD {
            assert!(check_value(value).is_ok(), "{value:?}");
        }
        assert!(check_value(&"a".repeat(MAX_VALUE)).is_ok());
    }

    #[test]
    fn whatever_is_more_is_refused() {
        for value in BAD {
            assert!(check_value(value).is_err(), "{value:?}");
        }
        assert!(check_value(&"a".repeat(MAX_VALUE + 1)).is_err());
    }

    #[test]
    fn names_are_custom_properties() {
        for name in ["--a", "--brand-primary", "--1", "---", &format!("--{}", "a".repeat(40))] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        let long = format!("--{}", "a".repeat(41));
        for name in ["", "--", "-a", "a", "color", "--A", "--a_b", "--a b", "--a:", "--a;", "--ä", "--a\n", &long] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }

    proptest! {
        #[test]
        fn no_value_that_passes_leaves_its_declaration(value in "[ -~\\n\u{e9}]{0,24}|[a-z#0-9(), .%'\"-]{0,16}") {
            if check_value(&value).is_ok() {
                prop_assert!(!value.is_empty());
                let is_syntax = |c: char| ";{}<>\\@/*:!&".contains(c) || c.is_control() || !c.is_ascii();
                prop_assert_eq!(value.find(is_syntax), None);
                let functions = COMMA_COLOURS.iter().chain(SPACED_COLOURS);
                let called = value.split_once('(').map(|(name, _)| name);
                prop_assert!(called.is_none_or(|called| functions.into_iter().any(|name| *name == called)));
                for quote in ['"', '\''] {
                    prop_assert_eq!(value.matches(quote).count() % 2, 0);
                }
            }
        }
    }
}
