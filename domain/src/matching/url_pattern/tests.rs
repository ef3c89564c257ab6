//! Cases by feature, stated from the URL Pattern standard. The base is `https://hub.example.com/.well-known/mercure`.

use proptest::prelude::*;

use super::*;

fn base() -> Base {
    Base::parse("https://hub.example.com/.well-known/mercure").unwrap()
}

fn pattern(text: &str) -> UrlPattern {
    UrlPattern::parse(text, &base()).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[track_caller]
fn check(text: &str, matching: &[&str], others: &[&str]) {
    let pattern = pattern(text);
    for topic in matching {
        let url = TopicUrl::parse(topic, &base()).unwrap();
        assert!(pattern.matches(&url), "{text} is to match {topic}");
        assert!(url.place().starts_with(pattern.literal_prefix()), "{} for {}", pattern.literal_prefix(), url.place());
    }
    for topic in others {
        let url = TopicUrl::parse(topic, &base());
        assert!(!url.is_some_and(|url| pattern.matches(&url)), "{text} is not to match {topic}");
    }
}

#[track_caller]
fn refused(code: &str, texts: &[&str]) {
    for text in texts {
        assert_eq!(UrlPattern::parse(text, &base()).map_or_else(|error| error.code, |_| "taken"), code, "{text}");
    }
}

#[test]
fn fixed_text() {
    check(
        "https://example.com/a",
        &["https://example.com/a"],
        &["https://example.com/a/", "https://example.com/A", "/a"],
    );
    check("https://example.com", &["https://example.com/", "https://example.com/a?b#c"], &["http://example.com/"]);
}

#[test]
fn names_take_one_segment() {
    check(
        "https://example.com/books/:id",
        &["https://example.com/books/1"],
        &["https://example.com/books/", "https://example.com/books/1/2"],
    );
    check("/:a/:b", &["/1/2"], &["/1", "/1/2/3"]);
    check("/:a-:b", &["/x-y"], &["/x"]);
    check(
        "https://:sub.example.com/",
        &["https://a.example.com/"],
        &["https://a.b.example.com/", "https://example.com/"],
    );
    check("/:größe/:名", &["/1/2"], &["/1"]);
    check("/item{\\:}1", &["/item:1"], &["/itemx"]);
    check("/:a(\\d+)/x", &["/12/x"], &["/b/x", "//x"]);
}

#[test]
fn wildcards_take_anything() {
    check("/files/*", &["/files/", "/files/a/b"], &["/files"]);
    check("/a/*/b", &["/a/x/y/b", "/a//b"], &["/a/b"]);
    check("https://*.example.com/*", &["https://a.b.example.com/x"], &["https://example.com/x"]);
    check("https://*/a", &["https://x.org/a"], &["https://x.org:8443/a", "http://x.org/a"]);
    check("*://*/a", &["https://x.org/a", "foo://x/a"], &["https://x.org/b"]);
}

#[test]
fn groups_and_modifiers() {
    check("/books{/old}?", &["/books", "/books/old"], &["/books/", "/books/old/old"]);
    check("/books/:id?", &["/books", "/books/1"], &["/books/", "/books/1/2"]);
    check("/books/:id+", &["/books/1", "/books/1/2/3"], &["/books", "/books/", "/books/1/"]);
    check("/books/:id*", &["/books", "/books/1/2"], &["/books/"]);
    check("/a{b-:c-d}+", &["/ab-1-d", "/ab-1-db-2-d"], &["/a", "/ab-1-"]);
    check("http{s}?://example.com/", &["http://example.com/", "https://example.com/"], &["ftp://example.com/"]);
    check("/a{b}*c", &["/ac", "/abbc"], &["/abb"]);
    check("/(a|b)?", &["/a", "/b"], &["/c", "/"]);
    check("/x{:a}:b", &["/xyz"], &["/x"]);
}

#[test]
fn regular_expressions() {
    check("/(\\d{2,3})", &["/12", "/123"], &["/1", "/1234", "/ab"]);
    check("/([a-c_\\-]+|x?y)", &["/a_-b", "/xy", "/y"], &["/d", "/x"]);
    check("/((?:ab)*?c)", &["/c", "/ababc"], &["/abab"]);
    check("/([^\\/\\d]+)", &["/ab"], &["/a/b", "/a1"]);
    check("/(\\w+\\.\\S\\x41\\u0042\\u{43})", &["/a.xABC", "/a_1.%ABC"], &["/a.ABC", "/-.xABC"]);
    check("/(.{2})", &["/ab"], &["/a"]);
    refused(
        "unsupported_regexp",
        &[
            "/(a(?=b))",
            "/(a(?<!b))",
            "/(a\\1)",
            "/(^a)",
            "/(a$)",
            "/(\\bx)",
            "/(a**)",
            "/(*a)",
            "/(a{2,1})",
            "/([b-a])",
            "/([\\d-x])",
            "/(\\p{L})",
            "/(a{)",
            "/(])",
            "/([a-])",
            "/(\\e)",
            "/([a)",
        ],
    );
    refused("too_complex", &["/((?:a{100}){100})", "/((?:.*a.{20}))", "/((?:(?:(?:a?){99}){99}){99})"]);
    check("/([\\w\\-]{1,64})/(\\d{4}-\\d{2}-\\d{2})", &["/a-b/2026-11-29"], &["/a/2026-11", "//2026-11-29"]);
    let uuid = "/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})";
    check(uuid, &["/f81d4fae-7dec-11d0-a765-00a0c91e6bf6"], &["/f81d4fae-7dec-11d0-a765-00a0c91e6bf"]);
}

/// ECMAScript, 22.2.1, `ClassContents` with the flag v.
#[test]
fn classes_of_the_flag_v() {
    check("/([[a-z]--[aeiou]]+)", &["/xyz", "/rhythm"], &["/a", "/xay", "/X", "/"]);
    check("/([[a-z]--a--[b-d]]+)", &["/xyz", "/e"], &["/a", "/c"]);
    check("/([\\w&&\\d]+)", &["/123"], &["/a1", "/_"]);
    check("/([\\w&&[a-f0-9]&&\\D]+)", &["/abf"], &["/0", "/g", "/_"]);
    check("/([[a-c][x-z]5]+)", &["/abcxyz5"], &["/d", "/6"]);
    check("/([^[a-c][x-z]]+)", &["/defg5"], &["/a", "/y"]);
    check("/([^\\w--\\d]+)", &["/123", "/-.~"], &["/a", "/_"]);
    check("/([[^\\d]&&[^a-z]]+)", &["/ABC", "/-"], &["/a", "/1"]);
    check("/([\\q{abc|d|}])x", &["/abcx", "/dx", "/x"], &["/abx", "/ax", "/abcdx"]);
    check("/([\\q{abc|d}a-b]+)", &["/abc", "/dab", "/abcd"], &["/c", "/abe", "/abcc"]);
    check("/([\\q{ab|cd|e}--\\q{cd|e}])", &["/ab"], &["/cd", "/e"]);
    check("/([\\q{ab|cd|e}&&[\\q{cd|x}a-z]])", &["/cd", "/e"], &["/ab", "/x"]);
    check("/([^\\q{a|b}]+)", &["/xyz"], &["/a", "/xb"]);
    check("/([\\q{\\-\\|\\u0041}]+)", &["/-|A"], &["/A", "/-"]);
    check("/([a&b]+)", &["/a&b"], &["/c"]);
    check("/([\\&\\&\\-\\[\\]\\cJ\\0\\b]+)", &["/&-"], &["/a"]);
    check("/x{-([])}?", &["/x"], &["/x-", "/x-a"]);
    check("/([^]{2})", &["/ab"], &["/a"]);
    let nested = |depth: usize| format!("/({}a{})", "[".repeat(depth), "]".repeat(depth));
    check(&nested(32), &["/a"], &["/b"]);
    refused("too_complex", &[&nested(33)]);
}

/// What is valid by ECMAScript and not taken is named; what is not valid is told from it.
#[test]
fn what_expressions_may_not_have_is_named() {
    let message = |text: &str| UrlPattern::parse(text, &base()).unwrap_err().message;
    for (part, texts) in [
        ("anchor", &["/(^a)", "/(a$)", "/(\\bx)", "/(x\\B)"][..]),
        ("lookahead or lookbehind", &["/(a(?=b))", "/(a(?!b))", "/(a(?<=b))", "/(a(?<!b))"]),
        ("back reference", &["/(a\\1)", "/(\\k<a>)"]),
        ("named group", &["/((?<n>a))"]),
        ("flags", &["/((?i:a))", "/((?-i:a))"]),
        ("property of Unicode", &["/(\\p{L})", "/([\\p{Lu}--A])", "/(\\P{N})", "/([^\\P{N}])"]),
    ] {
        for text in texts {
            assert!(message(text).contains(part), "{text}: {}", message(text));
        }
    }
    for text in [
        "/([a--b&&c])",
        "/([a-b--c])",
        "/([ab--c])",
        "/([a--])",
        "/([--a])",
        "/([a&&])",
        "/([&&a])",
        "/([a&&&b])",
        "/([a!!b])",
        "/([a||b])",
        "/([^\\q{ab}])",
        "/([^\\q{}])",
        "/([\\q{a\\d}])",
        "/([\\q{a)",
        "/([a[b])",
        "/([\\w-z])",
        "/([a-\\q{b}])",
        "/(\\q{a})",
        "/(\\c1)",
        "/(\\01)",
        "/(\\u{110000})",
    ] {
        assert!(message(text).contains("is none by ECMAScript"), "{text}: {}", message(text));
    }
}

#[test]
fn a_part_is_repeated_so_often_at_most() {
    let most = regexp::MAX_REPEAT;
    assert_eq!(most, 128, "as the message says");
    for counts in ["{128}", "{128,}", "{0,128}", "{128,128}", "{128}?", "{0128}"] {
        pattern(&format!("/([0-9a-f]{counts})"));
    }
    let beyond =
        ["{129}", "{129,}", "{0,129}", "{129,129}", "{4000}", "{1,4294967296}", "{99999999999}", "{9999999999999,}"];
    for counts in beyond {
        // Wherever it stands, and however little it repeats.
        let texts =
            [format!("/(a{counts})"), format!("/(b|(?:(?:x){counts})*)"), format!("https://(a{counts}).example/")];
        for text in texts {
            let refusal = UrlPattern::parse(&text, &base()).unwrap_err();
            assert_eq!(refusal.code, Steps::EXCEEDED, "{text}");
            assert!(refusal.message.contains("numbers up to 128"), "{text}: {}", refusal.message);
        }
    }
    refused("unsupported_regexp", &["/(a{})", "/(a{,5})", "/(a{+5})", "/(a{5,4})", "/(a{4294967297,1})"]);
}

/// What is nested is multiplied: each level that repeats k times takes at least k times the steps of what it repeats.
#[test]
fn nested_repetitions_multiply() {
    let steps = |text: &str| pattern(text).steps().taken();
    for part in ["a", "[a-f]", "ab|c"] {
        let once = steps(&format!("/((?:{part}){{4}})"));
        let twice = steps(&format!("/((?:(?:{part}){{4}}){{4}})"));
        let thrice = steps(&format!("/((?:(?:(?:{part}){{4}}){{4}}){{4}})"));
        assert!(twice > 3 * once && thrice > 3 * twice, "{part}: {once}, {twice}, {thrice}");
    }
    refused(
        "too_complex",
        &["/((?:(?:(?:a{16}){16}){16}){16})", "/((?:(?:a{128}){128}){128})", "/((?:[a-f]{0,128}){128})"],
    );
}

#[test]
fn a_stream_of_ordinary_patterns_is_far_within_the_bound() {
    for text in [
        "https://example.com/books/:id",
        "https://example.com/books/:id{/pages/:page}?",
        "/:owner/repos/:repo/issues/:issue(\\d+)/*",
        "*://*.example.com/:a/files/*.:extension",
    ] {
        let steps = pattern(text).steps().taken();
        assert!(steps < Steps::MAX / 50, "{text}: {steps}");
    }
}

#[test]
fn escapes_mean_the_character_itself() {
    check("/a\\*\\{b\\}\\(c\\)\\+", &["/a*{b}(c)+", "/a*%7Bb%7D(c)+"], &["/ax{b}(c)+"]);
    check("/a\\?b=:c", &["/a?b=1"], &["/a%3Fb=1"]);
    check("/a?b=:c", &["/a?b=1", "/a?b=1#x"], &["/a", "/?b=1", "/b=1", "/ab=1"]);
}

#[test]
fn what_is_left_out_is_open_or_the_base_s() {
    check(
        "/a",
        &["/a", "/a?q#f", "https://user:pw@hub.example.com/a", "https://hub.example.com:443/a"],
        &["https://hub.example.com:8443/a"],
    );
    check("a", &["/.well-known/a", "a", "./x/../a"], &["/a"]);
    check("../a", &["/a", "../a"], &["/.well-known/a"]);
    check("?q=1", &["?q=1", "/.well-known/mercure?q=1#f"], &["/?q=1", "/.well-known/mercure"]);
    check("#f", &["#f", "/.well-known/mercure#f"], &["?q#f", "#g", "/#f"]);
    check("", &["/.well-known/", "."], &["", "/"]);
    check("https://example.com?q", &["https://example.com/?q"], &["https://example.com/a?q", "https://example.com/"]);
    check(
        "https://example.com#f",
        &["https://example.com/#f"],
        &["https://example.com/?q#f", "https://example.com/a#f"],
    );
    check("/a#f", &["/a#f"], &["/a?q#f", "/a"]);
    check(
        "https://example.com:*/a",
        &["https://example.com:1/a", "https://example.com/a"],
        &["http://example.com:1/a"],
    );
}

#[test]
fn a_base_s_own_signs_stand_for_themselves() {
    let base = Base::parse("https://hub.example.com:81/a(b)*/c?d=+#e").unwrap();
    let matches = |text: &str, topic: &str| {
        UrlPattern::parse(text, &base).unwrap().matches(&TopicUrl::parse(topic, &base).unwrap())
    };
    assert!(matches(":x", "https://hub.example.com:81/a(b)*/y") && !matches(":x", "https://hub.example.com:81/ab/y"));
    assert!(matches("#e", "") || matches("#e", "#e"));
    assert!(matches("#:x", "https://hub.example.com:81/a(b)*/c?d=+#z") && !matches("#:x", "?#z"));
    let opaque = Base::parse("urn:a:b").unwrap();
    assert!(
        UrlPattern::parse("urn\\:a{\\:}:b", &opaque).unwrap().matches(&TopicUrl::parse("urn:a:c", &opaque).unwrap())
    );
}

#[test]
fn fixed_text_is_made_canonical() {
    check("HTTPS://EXAMPLE.com/a", &["https://example.com/a"], &[]);
    check(
        "https://bücher.example/é b",
        &["https://xn--bcher-kva.example/%C3%A9%20b", "https://BÜCHER.example/é b"],
        &[],
    );
    check("https://مثال.example/a", &["https://xn--mgbh0fb.example/a"], &[]);
    check("https://xn--bcher-kva.example/", &["https://BÜCHER。ＥＸＡＭＰＬＥ/"], &["https://bucher.example/"]);
    check("https://🚲.example/*", &["https://xn--h78h.example/"], &["https://example/"]);
    check("https://example.com:443/a", &["https://example.com/a"], &["https://example.com:80/a"]);
    check("https://example.com:0080/", &["https://example.com:80/"], &[]);
    check("http://127.1/", &["http://127.0.0.1/"], &[]);
    check("http://[\\:\\:ABCD]/", &["http://[::abcd]/"], &["http://[::abce]/"]);
    check("http://[\\:\\:A:x]/", &["http://[::ab]/"], &["http://[::b]/"]);
    check("/a/./b/../c", &["/a/c"], &["/a/b/c"]);
    check("/a\\\\b", &["/a/b"], &[]);
    check("/?é='", &["/?é='", "/?%C3%A9=%27"], &[]);
    check("/#é `", &["/#é `", "/#%C3%A9%20%60"], &[]);
    check("https://a\\:b@example.com/", &[], &["https://example.com/"]);
    check("https://ü:ä*@example.com/", &["https://%C3%BC:%C3%A4x@example.com/"], &["https://example.com/"]);
}

/// Hosts by UTS 46, all else as it is spelled.
#[test]
fn composed_and_decomposed_characters() {
    for host in ["b\u{fc}cher.example", "bu\u{308}cher.example"] {
        let others = ["https://bucher.example/a"];
        check(
            &format!("https://{host}/:a"),
            &["https://b\u{fc}cher.example/a", "https://bu\u{308}cher.example/a"],
            &others,
        );
    }
    check("/\u{fc}/:a", &["/\u{fc}/1", "/%C3%BC/1"], &["/u\u{308}/1", "/u%CC%88/1"]);
    check("/u\u{308}/:a", &["/u\u{308}/1", "/u%CC%88/1"], &["/\u{fc}/1", "/%C3%BC/1"]);
    check("/?q=\u{fc}", &["/?q=\u{fc}"], &["/?q=u\u{308}"]);
    check("/#u\u{308}", &["/#u\u{308}"], &["/#\u{fc}"]);
}

#[test]
fn other_schemes() {
    check("urn\\:isbn\\:*", &["urn:isbn:1", "urn:isbn:a/b?c"], &["urn:issn:1"]);
    check("urn\\:isbn\\::n", &["urn:isbn:1"], &["urn:isbn:"]);
    check("urn:isbn\\:*", &[], &["urn:isbn:1"]);
    check("foo://host/a/:b", &["foo://host/a/b"], &["foo://host/a/", "foo://other/a/b"]);
    check("(urn|data)\\:x", &["urn:x", "data:x"], &["tag:x"]);
    check("data\\:x", &["data:x"], &["/data:x"]);
    check("data{\\:}x", &["./data:x"], &["data:x"]);
}

#[test]
fn what_is_no_pattern() {
    let broken = [
        "/a{",
        "/a}",
        "/{a{b}}",
        "/a(",
        "/a(?x)",
        "/()",
        "/(é)",
        "/(a(b))",
        "/:a/:a",
        "/a\\",
        "/a+",
        "/a/:",
        "/:1",
        "/:/b",
        "https://exa mple.com/",
        "https://example.com:99999/",
        "https://example.com\\:x/",
        "1x\\://a/",
        "https://[x]/",
        "https://[",
    ];
    refused("invalid_url_pattern", &broken);
}

#[test]
fn the_place_that_all_topics_share() {
    let prefix = |text: &str| pattern(text).literal_prefix().to_owned();
    assert_eq!(prefix("https://example.com/books/:id"), "https://example.com:/books/");
    assert_eq!(prefix("https://example.com:81/books/a"), "https://example.com:81/books/a");
    assert_eq!(prefix("/books/{:id}"), "https://hub.example.com:/books/");
    assert_eq!(prefix("https://sub*.example.com/a"), "https://sub");
    assert_eq!(prefix("http{s}?://example.com/a"), "http");
    assert_eq!(prefix("*://example.com/a"), "");
    assert_eq!(prefix("urn\\:isbn\\:*"), "urn://:isbn:");
}

/// Regular expressions of which each part may repeat, also those that repeat already.
fn nested() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![Just("a".to_owned()), Just(".".into()), Just("[a-f]".into()), Just("\\d".into())];
    leaf.prop_recursive(6, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..4).prop_map(|list| list.concat()),
            prop::collection::vec(inner.clone(), 1..4).prop_map(|list| format!("(?:{})", list.join("|"))),
            (inner, 0..160u32, 0..160u32, 0..6).prop_map(|(of, n, m, shape)| match shape {
                0 => format!("(?:{of}){{{n}}}"),
                1 => format!("(?:{of}){{{n},}}"),
                2 => format!("(?:{of})*"),
                3 => format!("(?:{of})?"),
                _ => format!("(?:{of}){{{},{}}}", n.min(m) % 9, n.min(m) % 9 + m % 99),
            }),
        ]
    })
}

proptest! {
    #[test]
    fn nested_repetitions_compile_within_the_bound_or_are_refused(inside in nested()) {
        match UrlPattern::parse(&format!("/({inside})"), &base()) {
            Ok(pattern) => {
                prop_assert!(pattern.steps().taken() <= Steps::MAX);
                prop_assert!(pattern.bytes() < 4 * Steps::MAX / Steps::OF_ENTRY + 8_192, "{}", pattern.bytes());
            }
            Err(invalid) => prop_assert_eq!(invalid.code, Steps::EXCEEDED),
        }
    }

    #[test]
    fn no_text_breaks_the_parser(text in "(https?://|/|urn:)?[a-c:*?+{}()\\\\\\[\\]|/.#@0-9é-]{0,24}", topic in "(https?://)?\\PC{0,24}") {
        let url = TopicUrl::parse(&topic, &base());
        if let (Ok(pattern), Some(url)) = (UrlPattern::parse(&text, &base()), url) {
            prop_assert!(!pattern.matches(&url) || url.place().starts_with(pattern.literal_prefix()));
        }
    }

    #[test]
    fn a_url_escaped_is_a_pattern_of_itself(topic in "https?://[a-z]{1,5}(:[1-9][0-9]{0,3})?(/[a-z0-9*:(){}+.é]{0,5}){0,3}(\\?[a-z*+=]{1,4})?(#[a-z()]{1,4})?") {
        let url = TopicUrl::parse(&topic, &base()).unwrap();
        let [protocol, _, _, hostname, port, pathname, search, hash] = url.components().map(escape);
        let mut text = format!("{protocol}://{hostname}:{port}{pathname}");
        if !search.is_empty() {
            text = format!("{text}\\?{search}");
        }
        if !hash.is_empty() {
            text = format!("{text}#{hash}");
        }
        prop_assert!(pattern(&text).matches(&url), "{}", text);
    }
}
