//! What fields of records take: formats, keywords of JSON Schema, numbers up to the largest; and which parameters lists do.

use serde_json::{Value, json};

use crate::world::{Tenant, World, unique};

async fn tenant() -> Tenant {
    World::shared().await.unbounded_tenant().await
}

/// Puts a value into the field `f` of a new record; the codes of what is wrong, and else what is kept.
async fn put(tenant: &Tenant, collection: &str, value: Value) -> Result<Value, Vec<String>> {
    let answer = tenant.ask("POST", &format!("/api/v1/{collection}"), json!({"f": value})).await;
    match answer.status {
        201 => Ok(answer.data()["f"].clone()),
        _ => Err(answer.expect(422).codes()),
    }
}

#[tokio::test]
async fn an_address_is_by_one_rule_a_users_and_a_fields() {
    let tenant = tenant().await;
    tenant.collection("people", json!({"f": {"type": "string", "format": "email", "unique": true}}), json!({})).await;
    let user = async |email: &str| tenant.ask("POST", "/api/v1/users", json!({"email": email, "role": "viewer"})).await;
    let local = |length: usize| format!("{}@example.com", "a".repeat(length));
    for (written, kept) in [
        ("first.last+tag@example.co.uk", "first.last+tag@example.co.uk"),
        ("ann@bücher.example", "ann@xn--bcher-kva.example"),
        (&local(64), &local(64)),
    ] {
        assert_eq!(put(&tenant, "people", json!(written)).await, Ok(json!(kept)));
        assert_eq!(user(written).await.expect(201).data()["email"], kept);
        let found = tenant.listed("people", &[("filter", &format!("f = '{written}'"))]).await.expect(200);
        assert_eq!(found.column("f"), [json!(kept)], "{written}");
    }
    // One mailbox, by whichever spelling of its domain.
    user("ann@xn--bcher-kva.example").await.expect_problem(409, "conflict");
    let again = json!({"f": "ann@xn--bcher-kva.example"});
    tenant.ask("POST", "/api/v1/people", again).await.expect_problem(409, "not_unique");
    for bad in [
        ".a@b.co",
        "a.@b.co",
        "a..b@b.co",
        "\"a b\"@b.co",
        "a@b.co:25",
        "a@b_c.co",
        "a@127.0.0.1",
        "a@[127.0.0.1]",
        "a@b.co.",
        "Ann <a@b.co>",
        "a@b@c.co",
        "a b@c.co",
        &local(65),
        &format!("a@{}.com", "b".repeat(64)),
    ] {
        assert_eq!(put(&tenant, "people", json!(bad)).await, Err(vec!["invalid_format".into()]), "{bad}");
        user(bad).await.expect_invalid("/email");
    }
}

#[tokio::test]
async fn formats_are_held_to_their_standards() {
    let tenant = tenant().await;
    for format in ["uri", "date-time", "date"] {
        tenant
            .collection(&format.replace('-', "_"), json!({"f": {"type": "string", "format": format}}), json!({}))
            .await;
    }
    for good in [
        "https://example.com/a%20b?c=%E2%82%AC",
        "urn:isbn:0451450523",
        "mailto:ann@example.com",
        "tel:+49-30-1",
        "data:,x",
    ] {
        assert_eq!(put(&tenant, "uri", json!(good)).await, Ok(json!(good)));
    }
    for bad in [
        "https://a.b/%zz",
        "https://a.b/%",
        "urn:x:%2",
        "/a",
        "a.b",
        "https://",
        "https://u:p@a.b",
        "javascript:alert(1)",
    ] {
        assert_eq!(put(&tenant, "uri", json!(bad)).await, Err(vec!["invalid_format".into()]), "{bad}");
    }
    for (moment, kept) in [
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00.000Z"),
        ("2016-12-31t15:59:60.5-08:00", "2017-01-01T00:00:00.500Z"),
        ("2026-02-28T23:59:59.9999z", "2026-02-28T23:59:59.999Z"),
    ] {
        assert_eq!(put(&tenant, "date_time", json!(moment)).await, Ok(json!(kept)));
    }
    for bad in [
        "2016-12-31T23:58:60Z",
        "2016-12-31T23:59:60+01:00",
        "2016-12-30T23:59:60Z",
        "2026-01-01T24:00:00Z",
        "2026-02-29T00:00:00Z",
    ] {
        assert_eq!(put(&tenant, "date_time", json!(bad)).await, Err(vec!["invalid_format".into()]), "{bad}");
    }
    assert_eq!(put(&tenant, "date", json!("2026-04-31")).await, Err(vec!["invalid_format".into()]));
    // A leap second is behind all others of its year, in filters as in what is kept.
    let counted = async |filter: &str| tenant.listed("date_time", &[("filter", filter)]).await.expect(200).ids().len();
    assert_eq!(counted("f > '2016-12-31T23:59:59.999Z' && f < '2017-01-01T00:00:01Z'").await, 2);
    assert_eq!(counted("f = '2016-12-31T23:59:60Z'").await, 1);
    assert_eq!(counted("f <= '2016-12-31T15:59:60-08:00'").await, 1);
}

#[tokio::test]
async fn keywords_of_json_schema_are_enforced() {
    let tenant = tenant().await;
    let key = tenant.key(&["collections:read"]).await.text;
    let (text, number) = (|more: Value| merged("string", more), |more: Value| merged("number", more));
    let cases = [
        (text(json!({"const": "a"})), json!("a"), json!("b"), "not_in_enum"),
        (text(json!({"pattern": "^[A-Z]{2}-\\d+$"})), json!("AB-1"), json!("ab-1"), "pattern_not_matched"),
        (text(json!({"pattern": "\\p{L}", "maxLength": 2.0})), json!("é"), json!("12"), "pattern_not_matched"),
        (text(json!({"maxLength": 2.0})), json!("äö"), json!("abc"), "too_long"),
        (number(json!({"multipleOf": 0.1})), json!(0.3), json!(0.35), "not_a_multiple"),
        (number(json!({"multipleOf": 0.01})), json!(19.99), json!(19.999), "not_a_multiple"),
        (number(json!({"exclusiveMinimum": 0})), json!(0.1), json!(0), "too_small"),
        (number(json!({"exclusiveMaximum": 1.5})), json!(1.4), json!(1.5), "too_large"),
        (
            json!({"type": "array", "items": {"type": "number"}, "uniqueItems": true}),
            json!([1, 2]),
            json!([1, 1.0]),
            "duplicate",
        ),
        (json!({"type": "object", "minProperties": 1}), json!({"a": 1}), json!({}), "too_few"),
        (number(json!({"oneOf": [{"multipleOf": 3}, {"multipleOf": 5}]})), json!(3), json!(15), "not_one_of"),
        (text(json!({"anyOf": [{"maxLength": 1}, {"pattern": "^x"}]})), json!("xyz"), json!("yz"), "not_any_of"),
        (text(json!({"not": {"enum": ["root"]}})), json!("ann"), json!("root"), "not_excluded"),
    ];
    for (i, (property, good, bad, code)) in cases.into_iter().enumerate() {
        let slug = format!("c{i}");
        tenant.collection(&slug, json!({"f": property.clone()}), json!({})).await;
        assert_eq!(put(&tenant, &slug, good.clone()).await, Ok(good), "{property}");
        assert_eq!(put(&tenant, &slug, bad).await, Err(vec![code.into()]), "{property}");
        let document = tenant.call("GET", "/api/v1/openapi.json").bearer(&key).send().await.expect(200).json();
        let shown = &document["components"]["schemas"][format!("{slug}.Record")]["properties"]["f"];
        assert_eq!(shown, &property, "as it is published");
    }
}

fn merged(kind: &str, mut more: Value) -> Value {
    more["type"] = json!(kind);
    more
}

#[tokio::test]
async fn a_keyword_that_is_not_taken_is_named_beside_those_that_are() {
    let tenant = tenant().await;
    for keyword in ["patternProperties", "if", "contains", "dependentRequired", "$ref", "maxlength"] {
        let body = json!({"slug": format!("c{}", unique()), "schema": {"type": "object", "properties": {"f": merged("string", json!({keyword: {}}))}}});
        let pointer = format!("/schema/properties/f/{keyword}");
        let refused = tenant.ask("POST", "/api/v1/collections", body).await.expect_invalid(&pointer);
        let message = refused.json()["errors"][0]["message"].as_str().unwrap().to_owned();
        assert!(message.contains("these are: type, enum, const, format, pattern, "), "{message}");
        assert_eq!(refused.codes(), ["unsupported_keyword"]);
    }
}

#[tokio::test]
async fn a_narrower_schema_is_asked_of_the_next_write() {
    let tenant = tenant().await;
    tenant.collection("codes", json!({"f": {"type": "string"}, "n": {"type": "number"}}), json!({})).await;
    let id = tenant.record("codes", json!({"f": "lower", "n": 0.35})).await["id"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/codes/{id}");
    let narrower = json!({"schema": {"properties": {"f": {"pattern": "^[A-Z]+$"}, "n": {"multipleOf": 0.1}}}});
    tenant.ask("PATCH", "/api/v1/collections/codes", narrower).await.expect(200);
    assert_eq!(tenant.get(&path).await.expect(200).data()["f"], "lower", "what is there is read as ever");
    let refused = tenant.ask("PATCH", &path, json!({"n": 1})).await.expect(422);
    assert_eq!((refused.pointers(), refused.codes()), (vec!["/f".to_owned()], vec!["pattern_not_matched".to_owned()]));
    tenant.ask("PATCH", &path, json!({"f": "UPPER", "n": 0.3})).await.expect(200);
    let wider = json!({"schema": {"properties": {"f": {"pattern": null}}}});
    tenant.ask("PATCH", "/api/v1/collections/codes", wider).await.expect(200);
    tenant.ask("PATCH", &path, json!({"f": "lower"})).await.expect(200);
}

#[tokio::test]
async fn numbers_up_to_the_largest_are_kept_compared_and_sorted() {
    let tenant = tenant().await;
    let number = |more: Value| merged("number", more);
    tenant
        .collection("numbers", json!({"i": number(json!({"indexed": true})), "p": number(json!({}))}), json!({}))
        .await;
    let numbers = [
        "-1.7976931348623157e308",
        "-1e300",
        "0",
        "1e16",
        "18446744073709551616",
        "1.797e308",
        "1.7976931348623157e308",
    ];
    for (id, text) in numbers.iter().enumerate() {
        let value: f64 = text.parse().unwrap();
        tenant.record("numbers", json!({"id": format!("n{id}"), "i": value, "p": value})).await;
    }
    let found = async |filter: &str| tenant.ids("numbers", &[("filter", filter), ("sort", "i")]).await.concat();
    for field in ["i", "p"] {
        for (id, text) in numbers.iter().enumerate() {
            assert_eq!(found(&format!("{field} = {text}")).await, format!("n{id}"), "{field} {text}");
        }
        assert_eq!(found(&format!("{field} > 1e308")).await, "n5n6");
        assert_eq!(found(&format!("{field} >= 1.797e308")).await, "n5n6");
        assert_eq!(found(&format!("{field} < -1.7e308")).await, "n0");
        assert_eq!(found(&format!("{field} = 10000000000000000")).await, "n3");
    }
    assert_eq!(tenant.ids("numbers", &[("sort", "-i")]).await.concat(), "n6n5n4n3n2n1n0");
    for bad in ["i = 1.8e308", "i = 9007199254740993"] {
        tenant.listed("numbers", &[("filter", bad)]).await.expect_invalid_query("filter");
    }
    for inexact in [json!(9_007_199_254_740_993_i64), json!(i64::MAX), json!(u64::MAX)] {
        let refused = tenant.ask("POST", "/api/v1/numbers", json!({"p": inexact})).await.expect_invalid("/p");
        assert_eq!(refused.codes(), ["inexact_number"]);
    }
    for (id, exact) in [("n7", 9_007_199_254_740_994_u64), ("n8", 1 << 63)] {
        tenant.record("numbers", json!({"id": id, "p": exact})).await;
        assert_eq!(tenant.ids("numbers", &[("filter", &format!("p = {exact}"))]).await, [id]);
    }
}

#[tokio::test]
async fn a_parameter_that_an_operation_does_not_know_is_named() {
    let tenant = tenant().await;
    tenant.collection("posts", json!({"f": {"type": "string"}}), json!({"public_read": true})).await;
    let id = tenant.record("posts", json!({"f": "a"})).await["id"].as_str().unwrap().to_owned();
    for path in ["/api/v1/posts?fliter=a", "/api/v1/posts?limit=1&utm_source=x", "/api/posts?Filter=a"] {
        for call in [tenant.as_owner("GET", path), tenant.call("GET", path)] {
            let refused = call.send().await.expect_problem(400, "invalid_query");
            let message = refused.json()["errors"][0]["message"].as_str().unwrap().to_owned();
            assert!(message.starts_with("is not known: this operation takes filter, q, status, "), "{message}");
        }
    }
    let record = format!("/api/v1/posts/{id}");
    for (method, path, name) in [
        ("GET", format!("{record}?limit=1"), "limit"),
        ("GET", format!("{record}?fields=nope"), "fields"),
        ("GET", "/api/v1/posts?fields=f,nope".to_owned(), "fields"),
        ("DELETE", format!("{record}?permanet=true"), "permanet"),
        ("GET", "/api/v1/collections?q=a".to_owned(), "q"),
        ("GET", "/api/v1/users?filter=a".to_owned(), "filter"),
        ("GET", "/api/v1/roles?verbose=1".to_owned(), "verbose"),
    ] {
        tenant.as_owner(method, &path).send().await.expect_invalid_query(name);
    }
    tenant.as_owner("GET", &record).send().await.expect(200);
    let own = format!("/api/v1/posts?tenant_id={}&limit=1&fields=f", tenant.id);
    tenant.as_owner("GET", &own).send().await.expect(200);
    // Whoever may not call it is told that first.
    tenant.call("GET", "/api/v1/users?filter=a").send().await.expect_problem(401, "unauthorized");
    for tolerant in ["/?utm_source=x", "/docs?theme=dark", "/api/v1/openapi.json?v=1"] {
        tenant.call("GET", tolerant).send().await.expect(200);
    }
}
