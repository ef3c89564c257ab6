//! Keys: what they may do follows their holder, and ends with them.

use serde_json::{Value, json};

use super::{KEYS, made, pair, reroll, shown, status};
use crate::world::{ROOT, World};

#[tokio::test]
async fn a_key_may_do_at_most_what_its_holder_may_do_now() {
    let (here, there) = pair().await;
    here.role("keeper", &["api-keys:*", "users:read", "roles:read"]).await;
    let person = here.person("keeper").await;
    let (id, key) = made(person.call("POST", KEYS), &["users:read", "roles:read"]).await;
    assert_eq!(status(&there, "/api/v1/users", &key).await, 200);
    assert_eq!(shown(&there, &id).await["held_by"], json!(format!("user:{}", person.id)));

    // The role narrows, the user gets another one, and both go with the key.
    here.ask("PATCH", "/api/v1/roles/keeper", json!({"permissions": ["api-keys:*", "roles:read"]})).await.expect(200);
    assert_eq!((status(&there, "/api/v1/users", &key).await, status(&there, "/api/v1/roles", &key).await), (403, 200));
    let seen = shown(&there, &id).await;
    assert_eq!(
        (&seen["scopes"], &seen["effective_scopes"]),
        (&json!(["users:read", "roles:read"]), &json!(["roles:read"]))
    );
    person.patched(json!({"role": "viewer"})).await.expect(200);
    assert_eq!((status(&there, "/api/v1/users", &key).await, status(&there, "/api/v1/roles", &key).await), (403, 403));
    assert_eq!(shown(&there, &id).await["effective_scopes"], json!([]));
}

#[tokio::test]
async fn a_key_ends_with_its_holder_and_does_not_come_back() {
    let (here, there) = pair().await;
    for (how, reason) in [("disable", "holder_disabled"), ("remove", "holder_removed")] {
        let person = here.person("owner").await;
        here.made_user("owner").await;
        let (id, key) = made(person.call("POST", KEYS), &["users:read"]).await;
        assert_eq!(status(&there, "/api/v1/users", &key).await, 200);
        if how == "disable" {
            person.patched(json!({"status": "disabled"})).await.expect(200);
            assert_eq!(status(&there, "/api/v1/users", &key).await, 401, "{how}");
            person.patched(json!({"status": "active"})).await.expect(200);
        } else {
            here.as_owner("DELETE", &person.path()).send().await.expect(200);
        }
        assert_eq!(status(&there, "/api/v1/users", &key).await, 401, "{how}");
        let seen = shown(&there, &id).await;
        assert_eq!((&seen["in_force"], &seen["not_in_force_because"]), (&json!(false), &json!(reason)));
        assert_eq!((&seen["revoked_at"], &seen["effective_scopes"]), (&Value::Null, &json!([])));
    }
}

#[tokio::test]
async fn another_owner_takes_the_only_key_over_and_the_text_before_stays_dead() {
    let (here, there) = pair().await;
    let (gone, stays) = (here.person("owner").await, here.person("owner").await);
    let (id, key) = made(gone.call("POST", KEYS), &["users:read"]).await;
    here.as_owner("DELETE", &gone.path()).send().await.expect(200);
    let path = format!("{KEYS}/{id}/reroll");
    reroll(stays.call("POST", &path), json!({"grace_seconds": 60})).await.expect_invalid("/grace_seconds");
    let taken = reroll(stays.call("POST", &path), json!({})).await.expect(200).data();
    assert_eq!(taken["held_by"], json!(format!("user:{}", stays.id)));
    assert_eq!((&taken["in_force"], &taken["previous_until"]), (&json!(true), &Value::Null));
    assert_eq!(taken["created_by"], json!(format!("user:{}", gone.id)), "who made it is history");
    let text = taken["key"].as_str().unwrap();
    assert_eq!((status(&there, "/api/v1/users", text).await, status(&there, "/api/v1/users", &key).await), (200, 401));
    // Their own key they re-roll with grace.
    let again = reroll(stays.call("POST", &path), json!({"grace_seconds": 600})).await.expect(200).data();
    assert!(again["previous_until"].is_string());
    assert_eq!(status(&there, "/api/v1/users", text).await, 200);
    here.as_owner("DELETE", &stays.path()).send().await.expect_problem(409, "last_owner");
}

#[tokio::test]
async fn a_key_made_by_a_key_ends_with_it_and_is_bounded_by_it() {
    let (here, there) = pair().await;
    let person = here.person("owner").await;
    here.made_user("owner").await;
    let (first, text) = made(person.call("POST", KEYS), &["api-keys:*", "users:read", "roles:read"]).await;
    let (second, by_key) = made(here.call("POST", KEYS).bearer(&text), &["api-keys:*", "users:read"]).await;
    let (third, by_second) = made(here.call("POST", KEYS).bearer(&by_key), &["users:read"]).await;
    assert_eq!(status(&there, "/api/v1/users", &by_second).await, 200);
    let patch = async |id: &str, body: Value| here.ask("PATCH", &format!("{KEYS}/{id}"), body).await.expect(200);
    patch(&first, json!({"scopes": ["api-keys:*", "roles:read"]})).await;
    assert_eq!(status(&there, "/api/v1/users", &by_second).await, 403);
    patch(&first, json!({"scopes": ["api-keys:*", "users:read"], "ip_allowlist": ["192.0.2.0/24"]})).await;
    assert_eq!(status(&there, "/api/v1/users", &by_second).await, 401, "from elsewhere");
    let from = there.call("GET", "/api/v1/users").bearer(&by_second).address("192.0.2.9").send().await;
    from.expect(200);
    patch(&first, json!({"ip_allowlist": []})).await;
    here.as_owner("DELETE", &format!("{KEYS}/{second}")).send().await.expect(200);
    assert_eq!(
        (status(&there, "/api/v1/users", &by_second).await, status(&there, "/api/v1/users", &text).await),
        (401, 200)
    );
    assert_eq!(shown(&there, &third).await["not_in_force_because"], "maker_ended");
    // Who answers for all of them is the user.
    here.as_owner("DELETE", &person.path()).send().await.expect(200);
    assert_eq!(shown(&there, &third).await["not_in_force_because"], "holder_removed");
}

#[tokio::test]
async fn a_key_made_by_a_key_follows_whoever_holds_that_one_by_now() {
    let (here, there) = pair().await;
    let scopes = ["api-keys:*", "users:read", "events:read"];
    for how in ["disable", "remove"] {
        let person = here.person("owner").await;
        here.made_user("owner").await;
        let first = here.key(&scopes).await;
        let (child, text) = made(here.call("POST", KEYS).bearer(&first.text), &["users:read", "events:read"]).await;
        reroll(person.call("POST", &format!("{KEYS}/{}/reroll", first.id)), json!({})).await.expect(200);
        assert_eq!(status(&there, "/api/v1/users", &text).await, 200);
        let token = format!("Bearer {text}");
        let mut stream = there.events(&["a"]).header("Authorization", &token).live().await;
        if how == "disable" {
            // A role takes effect on the child as on the key.
            person.patched(json!({"role": "viewer"})).await.expect(200);
            assert_eq!(stream.closed().await, "token_revoked");
            assert_eq!(status(&there, "/api/v1/users", &text).await, 403);
            assert_eq!(
                shown(&there, &child).await["effective_scopes"],
                shown(&there, &first.id).await["effective_scopes"]
            );
            person.patched(json!({"status": "disabled"})).await.expect(200);
        } else {
            here.as_owner("DELETE", &person.path()).send().await.expect(200);
            assert_eq!(stream.closed().await, "token_revoked");
        }
        assert_eq!(status(&there, "/api/v1/users", &text).await, 401, "{how}");
        let seen = shown(&there, &child).await;
        assert_eq!((&seen["in_force"], &seen["not_in_force_because"]), (&json!(false), &json!("maker_ended")));
    }
    // A key that another key re-rolls is bound by that one; what it made before is over.
    let (first, other) = (here.key(&scopes).await, here.key(&scopes).await);
    let (child, text) = made(here.call("POST", KEYS).bearer(&first.text), &["users:read"]).await;
    let path = format!("{KEYS}/{}/reroll", first.id);
    let rolled = reroll(here.call("POST", &path).bearer(&other.text), json!({})).await.expect(200).data();
    let rolled = rolled["key"].as_str().unwrap();
    assert_eq!(
        (status(&there, "/api/v1/users", rolled).await, status(&there, "/api/v1/users", &text).await),
        (200, 401)
    );
    assert_eq!(shown(&there, &child).await["not_in_force_because"], "maker_ended");
    // What it makes from now on rests on both.
    let (_, text) = made(here.call("POST", KEYS).bearer(rolled), &["users:read"]).await;
    assert_eq!(status(&there, "/api/v1/users", &text).await, 200);
    here.as_owner("DELETE", &format!("{KEYS}/{}", other.id)).send().await.expect(200);
    assert_eq!(
        (status(&there, "/api/v1/users", rolled).await, status(&there, "/api/v1/users", &text).await),
        (401, 401)
    );
}

#[tokio::test]
async fn a_key_does_not_make_itself_or_another_one_more_than_it_is() {
    let (here, there) = pair().await;
    let body = json!({"name": "bounded", "scopes": ["api-keys:*"], "expires_at": "2098-01-01T00:00:00Z",
                      "ip_allowlist": ["192.0.2.0/24"]});
    let data = here.ask("POST", KEYS, body).await.expect(201).data();
    let (id, text) = (data["id"].as_str().unwrap(), data["key"].as_str().unwrap());
    let open = here.key(&["api-keys:read"]).await;
    let patch = async |id: &str, body: Value| {
        there.call("PATCH", &format!("{KEYS}/{id}")).bearer(text).address("192.0.2.9").json(&body).send().await
    };
    for (target, body, pointer) in [
        (id, json!({"expires_at": null}), "/expires_at"),
        (id, json!({"expires_at": "2099-01-01T00:00:00Z"}), "/expires_at"),
        (id, json!({"ip_allowlist": []}), "/ip_allowlist"),
        (id, json!({"ip_allowlist": ["192.0.0.0/16"]}), "/ip_allowlist"),
        (open.id.as_str(), json!({"scopes": ["api-keys:*"]}), "/expires_at"),
        (open.id.as_str(), json!({"expires_at": null}), "/expires_at"),
        (open.id.as_str(), json!({"ip_allowlist": []}), "/ip_allowlist"),
    ] {
        let refused = patch(target, body.clone()).await.expect_problem(403, "beyond_own_permissions");
        assert_eq!(refused.pointers(), [pointer], "{body}");
    }
    patch(id, json!({"ip_allowlist": ["192.0.2.0/25"], "expires_at": "2097-01-01T00:00:00Z"})).await.expect(200);
    patch(&open.id, json!({"name": "renamed"})).await.expect(200);
    let longer = json!({"name": "longer", "scopes": ["api-keys:read"], "expires_at": "2099-01-01T00:00:00Z"});
    let longer = there.call("POST", KEYS).bearer(text).address("192.0.2.9").json(&longer).send().await;
    longer.expect_problem(403, "beyond_own_permissions");
}

#[tokio::test]
async fn a_key_that_changes_between_look_and_write_is_not_handed_on() {
    let (here, there) = pair().await;
    let writer = here.key(&["api-keys:*"]).await;
    for _ in 0..6 {
        let target = here.key(&["api-keys:read"]).await;
        let path = format!("{KEYS}/{}", target.id);
        let widen = here.as_owner("PATCH", &path).json(&json!({"scopes": ["*"]})).send();
        let roll = there.call("POST", &format!("{path}/reroll")).bearer(&writer.text).json(&json!({})).send();
        let (widened, rolled) = tokio::join!(widen, roll);
        assert!([200, 409].contains(&widened.status), "{}", widened.body);
        if rolled.status == 200 {
            // Whoever got the text has no more by it than they had.
            let text = rolled.data()["key"].as_str().unwrap().to_owned();
            assert_eq!(status(&there, "/api/v1/users", &text).await, 403);
        } else {
            assert!([403, 409].contains(&rolled.status), "{}", rolled.body);
        }
    }
}

#[tokio::test]
async fn streams_of_a_holders_keys_end_with_the_holders_rights() {
    let (here, there) = pair().await;
    here.made_user("owner").await;
    for how in ["demote", "disable", "remove"] {
        let person = here.person("owner").await;
        let (_, key) = made(person.call("POST", KEYS), &["subscriber-tokens:write", "events:read"]).await;
        let mint = here.call("POST", "/api/v1/subscriber-tokens").bearer(&key).json(&json!({"topics": ["a"]}));
        let token = format!("Bearer {}", mint.send().await.expect(201).data()["token"].as_str().unwrap());
        let mut stream = there.events(&["a"]).header("Authorization", &token).live().await;
        match how {
            "demote" => _ = person.patched(json!({"role": "viewer"})).await.expect(200),
            "disable" => _ = person.patched(json!({"status": "disabled"})).await.expect(200),
            _ => _ = here.as_owner("DELETE", &person.path()).send().await.expect(200),
        }
        assert_eq!(stream.closed().await, "token_revoked", "{how}");
        there.events(&["a"]).header("Authorization", &token).refused().await.expect(401);
    }
}

#[tokio::test]
async fn a_platform_key_ends_with_its_operator_and_another_one_takes_it_over() {
    let (a, b) = World::pair().await;
    let (gone, stays) = (a.operator("admin").await, a.operator("admin").await);
    let body = json!({"name": "a test", "permissions": ["tenants:read", "platform-keys:*"]});
    let made = gone.call("POST", "/api/v1/platform-keys").json(&body).send().await.expect(201).data();
    let (id, text) = (made["id"].as_str().unwrap(), made["key"].as_str().unwrap());
    let lists =
        async |text: &str| b.call("GET", ROOT, "/api/v1/tenants").query("limit", "1").bearer(text).send().await.status;
    let body = json!({"name": "its own", "permissions": ["tenants:read"]});
    let child = a.call("POST", ROOT, "/api/v1/platform-keys").bearer(text).json(&body).send().await.expect(201).data();
    let child = child["key"].as_str().unwrap();
    assert_eq!((lists(text).await, lists(child).await), (200, 200));
    gone.patch(json!({"role": "support"})).await;
    assert_eq!((lists(text).await, lists(child).await), (401, 401));
    gone.patch(json!({"role": "admin"})).await;
    assert_eq!((lists(text).await, lists(child).await), (401, 401), "it does not come back");
    let path = format!("/api/v1/platform-keys/{id}");
    let seen = stays.call("GET", &path).send().await.expect(200).data();
    assert_eq!((&seen["in_force"], &seen["not_in_force_because"]), (&json!(false), &json!("holder_disabled")));
    let taken = stays.call("POST", &format!("{path}/reroll")).send().await.expect(200).data();
    assert_eq!((lists(taken["key"].as_str().unwrap()).await, lists(text).await), (200, 401));
    gone.admin("DELETE", "").send().await.expect(200);
    assert_eq!(lists(taken["key"].as_str().unwrap()).await, 200);
}
