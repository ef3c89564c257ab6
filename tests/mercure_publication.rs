//! Mercure, "Publication".

use std::collections::BTreeSet;

use serde_json::json;

use crate::world::{HUB, Tenant, World, sequence};

async fn tenant() -> Tenant {
    World::hub(json!({})).await
}

async fn end(tenant: &Tenant) {
    tenant.update("end").data("end").published().await;
}

#[tokio::test]
async fn an_update_reaches_whoever_matches_it() {
    let tenant = tenant().await;
    let mut stream = tenant.listen(&["https://example.com/a"]).await;
    let update = tenant.update("https://example.com/a").data("one\ntwo").id("urn:x:1").field("type", "add");
    assert_eq!(update.field("retry", "1234").published().await, "urn:x:1");
    let block = stream.update().await;
    assert_eq!(block.id.as_deref(), Some("urn:x:1"));
    assert_eq!(block.data.as_deref(), Some("one\ntwo"));
    assert_eq!(block.event.as_deref(), Some("add"));
    assert_eq!(block.retry, Some(1234));
}

#[tokio::test]
async fn the_body_must_be_a_form() {
    let tenant = tenant().await;
    let send = |kind: Option<&'static str>| {
        let call = tenant.call("POST", HUB).bearer(&tenant.publisher(&["*"]).sign()).bytes("topic=a".into());
        kind.into_iter().fold(call, |call, kind| call.header("Content-Type", kind)).send()
    };
    for kind in [
        "application/x-www-form-urlencoded",
        "Application/X-WWW-Form-Urlencoded",
        "application/x-www-form-urlencoded; charset=utf-8",
    ] {
        send(Some(kind)).await.expect(200);
    }
    for kind in [None, Some("application/json"), Some("multipart/form-data; boundary=a"), Some("text/plain")] {
        send(kind).await.expect_problem(415, "unsupported_media_type");
    }
}

#[tokio::test]
async fn an_update_needs_a_topic() {
    let tenant = tenant().await;
    for form in ["", "data=x", "topic=", "Topic=a&data=x"] {
        let answer = tenant.post(form).await.expect_problem(400, "invalid_form");
        assert_eq!(answer.pointers(), ["topic"], "{form}");
    }
}

#[tokio::test]
async fn unknown_fields_are_passed_over() {
    let tenant = tenant().await;
    let mut stream = tenant.listen(&["a"]).await;
    tenant.post("x=1&topic=a&DATA=no&event=no&data=yes&match=b&%FF=%FF").await.expect(200);
    let block = stream.update().await;
    assert_eq!((block.data.as_deref(), block.event), (Some("yes"), None));
}

#[tokio::test]
async fn names_and_values_must_be_utf_8() {
    let tenant = tenant().await;
    for (form, field) in [
        ("topic=%FF", "topic"),
        ("topic=a&topic=%C3", "topic"),
        ("topic=a&data=%ED%A0%80", "data"),
        ("topic=a&id=%FF", "id"),
        ("topic=a&type=%C0%80", "type"),
    ] {
        let answer = tenant.post(form).await.expect_problem(400, "invalid_form");
        assert_eq!(answer.pointers(), [field], "{form}");
    }
}

#[tokio::test]
async fn success_is_200_with_the_id_as_plain_text() {
    let tenant = tenant().await;
    let mut stream = tenant.listen(&["a"]).await;
    for id in [None, Some("urn:uuid:e1ee88e2-532a-4d6f-ba70-f0f8bd584022"), Some("with spaces, \"quotes\" & é")] {
        let update = tenant.update("a").data("x");
        let update = id.into_iter().fold(update, |update, id| update.id(id));
        let answer = update.send().await.expect(200);
        assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
        assert_eq!(stream.update().await.id, Some(answer.body.clone()));
        assert!(id.is_none_or(|id| answer.body == id), "{}", answer.body);
    }
}

#[tokio::test]
async fn sizes_are_bounded() {
    let tenant = tenant().await;
    let long = |length: usize| "x".repeat(length);
    tenant.update(&long(4_096)).published().await;
    tenant.post(&"topic=a&".repeat(100)).await.expect(200);
    let update = || tenant.update("a");
    for (update, field) in [
        (tenant.update(&long(4_097)), "topic"),
        ((0..100).fold(update(), |update, n| update.field("topic", &n.to_string())), "topic"),
        (
            (1..5).fold(tenant.update(&long(4_096)), |update, n| update.field("topic", &format!("{n}{}", long(4_000)))),
            "topic",
        ),
        (update().id(&long(1_025)), "id"),
        (update().field("type", &long(1_025)), "type"),
        (update().data(&long(1_536 * 1_024 + 1)), "data"),
        (update().data(&"\n".repeat(300_000)), "data"),
    ] {
        let answer = update.send().await.expect_problem(413, "form_too_large");
        assert_eq!(answer.pointers(), [field]);
    }
    tenant.update("a").field("unknown", &long(4 * 1_024 * 1_024)).send().await.expect_problem(413, "body_too_large");
}

#[tokio::test]
async fn alternate_topics_count_as_the_canonical_one_does() {
    let tenant = tenant().await;
    let mut streams = vec![
        tenant.listen(&["https://example.com/a"]).await,
        tenant.listen(&["https://example.com/a?lang=fr"]).await,
        tenant.listen(&["https://example.com/a", "https://example.com/a?lang=fr"]).await,
    ];
    let update = || tenant.update("https://example.com/a").field("topic", "https://example.com/a?lang=fr");
    let ids = [update().published().await, update().published().await];
    for stream in &mut streams {
        for id in &ids {
            assert_eq!(stream.update().await.id.as_ref(), Some(id), "once each");
        }
    }
}

#[tokio::test]
async fn reserved_topics_are_refused_whatever_the_token() {
    let tenant = tenant().await;
    let own = format!("http://{}{HUB}", tenant.host);
    for topic in [
        "*",
        HUB,
        &own,
        "/.well-known/mercure/",
        "/.well-known/mercure/subscriptions/exact/a/b",
        "mercure",
        "?a",
        "#a",
        "https://other.example/.well-known/mercure/x",
        "urn://x/.well-known/mercure",
        "/x/../.well-known/./mercure",
        "/%2Ewell-known/%6Dercure",
        "https://other.example/%2e%2E/.well-known/mercur%65/a?b#c",
        "/.well-known%2Fmercure",
        "/.well-known/mercure%2Fsubscriptions",
        "/%252e%252e/.well-known/mercure",
        "\\.well-known\\mercure\\subscriptions",
        "http:mercure",
        "https:mercure",
    ] {
        for token in [tenant.publisher(&["*"]), tenant.publisher(&[topic]), tenant.publisher(&["other"])] {
            // Among others too.
            for update in [tenant.update(topic), tenant.update("other").field("topic", topic)] {
                let answer = update.token(token.clone()).send().await.expect_problem(400, "invalid_form");
                assert_eq!(answer.pointers(), ["topic"], "{topic}");
            }
        }
    }
    for topic in [
        "**",
        "/.well-known/mercury",
        "/.well-known/mercures",
        "/a/.well-known/mercure",
        "/%2Fwell-known/mercure",
        "http://[/.well-known/mercure",
    ] {
        tenant.update(topic).published().await;
    }
}

#[tokio::test]
async fn topics_of_records_are_the_platforms() {
    let tenant = tenant().await;
    let own = format!("http://{}/.well-known/records/leads", tenant.host);
    for topic in [
        "records/",
        "records/leads",
        "records/leads/1",
        "./records/leads",
        "../.well-known/records/leads",
        "records%2Fleads",
        "%72ecords%252Fleads",
        "x/%2E%2E/records/leads",
        "x\\..\\records\\leads",
        "http:records/leads",
        "https:records/leads",
        &own,
        "HTTPS://OTHER.example:443/.well-known/records/leads?a#b",
        "//other.example/.well-known/./records/leads",
        " records/leads",
    ] {
        for update in [tenant.update(topic), tenant.update("other").field("topic", topic)] {
            let answer = update.send().await.expect_problem(400, "invalid_form");
            assert_eq!(answer.pointers(), ["topic"], "{topic}");
        }
    }
    for topic in ["records", "/records/leads", "https://example.com/records/leads"] {
        tenant.update(topic).published().await;
    }
}

#[tokio::test]
async fn topics_ids_and_types_have_no_control_or_format_characters() {
    let tenant = tenant().await;
    for name in ["topic", "id", "type"] {
        for character in [
            "\0",
            "\n",
            "\r",
            "\u{1f}",
            "\u{7f}",
            "\u{85}",
            "\u{9f}",
            "\u{ad}",
            "\u{200b}",
            "\u{202e}",
            "\u{feff}",
            "\u{e0001}",
        ] {
            let answer = tenant.update("a").field(name, &format!("b{character}c")).send().await;
            let answer = answer.expect_problem(400, "invalid_form");
            assert_eq!(answer.pointers(), [name], "{character:?}");
        }
    }
}

#[tokio::test]
async fn data_is_a_line_for_each_line() {
    let tenant = tenant().await;
    let mut stream = tenant.listen(&["a", "end"]).await;
    let rows = [
        ("one\ntwo", "one\ntwo"),
        ("one\rtwo", "one\ntwo"),
        ("one\r\ntwo", "one\ntwo"),
        ("one\n\rtwo", "one\n\ntwo"),
        ("one\r\n\r\ntwo\r", "one\n\ntwo\n"),
        ("\n\n", "\n\n"),
        ("  leading and trailing  \n \n\ttab", "  leading and trailing  \n \n\ttab"),
        (": no comment", ": no comment"),
        ("\u{feff}\u{2028}\0é😀", "\u{feff}\u{2028}\0é😀"),
        (
            "x\nid: evil\nevent: evil\nretry: 1\n\ndata: evil\n\n",
            "x\nid: evil\nevent: evil\nretry: 1\n\ndata: evil\n\n",
        ),
        ("x\r\rid: evil\r\r", "x\n\nid: evil\n\n"),
        ("", ""),
    ];
    let mut ids = Vec::new();
    for (sent, _) in rows {
        ids.push(tenant.update("a").data(sent).published().await);
    }
    end(&tenant).await;
    let heard = stream.updates_before("end").await;
    assert_eq!(heard.len(), rows.len());
    for ((block, (sent, received)), id) in heard.iter().zip(rows).zip(ids) {
        assert_eq!(block.data.as_deref(), Some(received), "{sent:?}");
        assert_eq!((block.id.as_ref(), &block.event), (Some(&id), &None), "{sent:?}");
    }
}

#[tokio::test]
async fn private_is_what_has_the_field_whatever_its_value() {
    let tenant = tenant().await;
    let mut anybody = tenant.listen(&["a", "end"]).await;
    let token = tenant.subscriber(&["a"]).sign();
    let mut entitled = tenant.mercure().query("match", "a").query("match", "end").bearer(&token).stream().await;
    for (number, private) in
        ["private=on", "private=", "private", "private=false", "private=0", "private=%FF"].iter().enumerate()
    {
        tenant.post(&format!("topic=a&data={number}&{private}")).await.expect(200);
    }
    tenant.post("topic=a&data=public&Private=on").await.expect(200);
    end(&tenant).await;
    assert_eq!(anybody.data_before("end").await, ["public"]);
    assert_eq!(entitled.data_before("end").await, ["0", "1", "2", "3", "4", "5", "public"]);
}

#[tokio::test]
async fn an_id_of_the_publishers_is_not_one_of_the_hubs() {
    let tenant = tenant().await;
    for id in ["#", "#a", "#0000000000000000-1", "earliest", " #0000000000000000-1", " earliest", " ", "a "] {
        let answer = tenant.update("a").id(id).send().await.expect_problem(400, "invalid_form");
        assert_eq!(answer.pointers(), ["id"], "{id}");
    }
    for id in ["a#", "Earliest", "0", "urn:uuid:1"] {
        assert_eq!(tenant.update("a").id(id).published().await, id);
    }
}

#[tokio::test]
async fn an_update_without_an_id_gets_one_that_no_other_has() {
    let tenant = tenant().await;
    let mut ids = BTreeSet::new();
    for update in [tenant.update("a"), tenant.update("a").id(""), tenant.update("b"), tenant.update("a")] {
        let id = update.published().await;
        assert!(id.starts_with('#') && ids.insert(id.clone()), "{id}");
    }
}

#[tokio::test]
async fn a_type_is_not_the_hubs_own() {
    let tenant = tenant().await;
    let mut stream = tenant.listen(&["a"]).await;
    let answer = tenant.update("a").field("type", "mercure").send().await.expect_problem(400, "invalid_form");
    assert_eq!(answer.pointers(), ["type"]);
    for kind in ["Mercure", "hub.closed", "message"] {
        tenant.update("a").field("type", kind).published().await;
        assert_eq!(stream.update().await.event.as_deref(), Some(kind));
    }
}

#[tokio::test]
async fn retry_is_digits_alone() {
    let tenant = tenant().await;
    let mut stream = tenant.listen(&["a"]).await;
    for retry in ["", "-1", "+1", " 1", "1.5", "1e3", "0x1", "\u{661}", "1\n"] {
        let answer = tenant.update("a").field("retry", retry).send().await.expect_problem(400, "invalid_form");
        assert_eq!(answer.pointers(), ["retry"], "{retry:?}");
    }
    for retry in ["0", "007", "999999999999999"] {
        tenant.update("a").field("retry", retry).published().await;
        assert_eq!(stream.update().await.retry, retry.parse().ok());
    }
}

#[tokio::test]
async fn an_update_of_a_megabyte_arrives_whole_on_either_wire() {
    let tenant = tenant().await;
    let (mut mercure, mut plain) = (tenant.listen(&["a"]).await, tenant.subscribe(&["a"]).await);
    let lines: Vec<String> = (0..12_000).map(|n| format!("{n:0>8} {}", "é<&>\"\\ %+".repeat(8))).collect();
    let data = lines.join("\n");
    assert!(data.len() > 1_000_000);
    let id = tenant.update("a").data(&data).published().await;
    let after = tenant.update("a").data("after").published().await;
    let block = mercure.update().await;
    assert_eq!(block.id, Some(id));
    assert!(block.data.as_ref() == Some(&data), "{} bytes", block.data.unwrap_or_default().len());
    assert_eq!(mercure.update().await.id, Some(after));
    let heard = plain.next_data(2).await;
    assert!(heard == [json!(data), json!("after")]);
}

#[tokio::test]
async fn updates_come_in_the_order_in_which_they_were_taken() {
    let tenant = tenant().await;
    let (mut one, mut two) = (tenant.listen(&["*"]).await, tenant.listen(&["a", "b"]).await);
    let mut ids = Vec::new();
    for id in ["9", "1", "5", "a", "0"] {
        ids.push(tenant.update("a").id(id).published().await);
        ids.push(tenant.update("b").published().await);
    }
    let numbers: Vec<u64> = ids.iter().filter(|id| id.starts_with('#')).map(|id| sequence(id)).collect();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 2), "{numbers:?}");
    for stream in [&mut one, &mut two] {
        for id in &ids {
            assert_eq!(stream.update().await.id.as_ref(), Some(id));
        }
    }
}

#[tokio::test]
async fn both_wires_have_one_log() {
    let tenant = tenant().await;
    tenant.collection("leads", json!({"name": {"type": "string"}}), json!({"live": true, "public_read": true})).await;
    let mut mercure = tenant.mercure().query("match", "*").stream().await;
    let mut plain = tenant.subscribe(&["*"]).await;
    let mut named = tenant.events(&["*"]).query("named", "true").live().await;

    let webhook = tenant.publish("posts", json!({"title": "Hello"})).await;
    let update = tenant.update("posts").field("topic", "https://example.com/1").data("two\nlines").field("type", "add");
    let update = update.id("urn:x").published().await;
    let record = tenant.record("leads", json!({"name": "Ada"})).await;

    // On Mercure's wire a webhook's event is the JSON that /events would show, and so is a record's change.
    let block = mercure.update().await;
    assert_eq!((block.id, &block.event), (Some(format!("#{webhook}")), &None));
    let event = plain.event().await;
    assert_eq!((event.id, serde_json::from_str(block.data.as_deref().unwrap()).ok()), (webhook, Some(event.body)));
    // On /events an update is JSON, with its data as text.
    assert_eq!(mercure.update().await.id, Some(update));
    let event = plain.event().await;
    assert_eq!(event.body["topics"], json!(["posts", "https://example.com/1"]));
    assert_eq!(event.body["data"], "two\nlines");
    assert_eq!((&event.body["type"], &event.body["update_id"]), (&json!("add"), &json!("urn:x")));
    assert_eq!(event.body["tenant_id"], json!(tenant.id));
    let event = mercure.update().await;
    let change = plain.event().await;
    assert_eq!(event.id, Some(format!("#{}", change.id)));
    assert_eq!(event.json()["data"]["record"]["id"], record["id"]);
    named.event().await;
    assert_eq!(named.event().await.name.as_deref(), Some("add"));
}
