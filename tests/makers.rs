//! What lives long ends with who made it: keys, invitations, URLs of files, tokens of operators. Each is ended through one
//! isolate and tried through another one.

use serde_json::{Value, json};

use crate::world::{Operator, PASSWORD, Person, ROOT, Tenant, TestResponse, Tokens, World, address};

const KEYS: &str = "/api/v1/api-keys";
const INVITATIONS: &str = "/api/v1/invitations";
const FILE: &str = "/api/v1/posts/p1/file";
const PNG: &[u8] = b"\x89PNG 0123456789";

/// A tenant as it is reached through each of two isolates.
async fn pair() -> (Tenant, Tenant) {
    let (a, b) = World::pair().await;
    let limits = ["max_api_requests_per_minute", "max_anonymous_requests_per_minute", "max_users"];
    let here = limits.iter().fold(a.tenant(), |tenant, limit| tenant.limit(limit, -1)).create().await;
    let there = here.through(&b);
    (here, there)
}

/// A key that a caller makes: its id and its text.
async fn made(call: crate::world::RequestBuilder, scopes: &[&str]) -> (String, String) {
    let data = call.json(&json!({"name": "a test", "scopes": scopes})).send().await.expect(201).data();
    (data["id"].as_str().unwrap().to_owned(), data["key"].as_str().unwrap().to_owned())
}

async fn status(tenant: &Tenant, path: &str, token: &str) -> u16 {
    tenant.call("GET", path).bearer(token).send().await.status
}

async fn shown(tenant: &Tenant, id: &str) -> Value {
    tenant.as_owner("GET", &format!("{KEYS}/{id}")).send().await.expect(200).data()
}

async fn reroll(call: crate::world::RequestBuilder, body: Value) -> TestResponse {
    call.json(&body).send().await
}

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
        let (_, key) = made(person.call("POST", KEYS), &["subscriber-tokens:write"]).await;
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

/// An invitation that somebody sends: its id, its address and its token.
async fn invited(person: &Person, role: &str) -> (String, String, String) {
    let (tenant, email) = (&person.tenant, address());
    let before = tenant.invitation_tokens().await.len();
    let body = json!({"email": email, "role": role});
    let data = person.call("POST", INVITATIONS).json(&body).send().await.expect(201).data();
    (data["id"].as_str().unwrap().to_owned(), email, tenant.invitation_token(before).await)
}

#[tokio::test]
async fn an_invitation_is_worth_what_its_sender_may_do_when_it_is_accepted() {
    let (here, there) = pair().await;
    here.made_user("owner").await;
    let unknown = there.accept("car_in_nothing", &address()).await.expect_problem(404, "invitation_not_found");
    let unknown = unknown.masked(&[]);
    let unknown = unknown.lines().last();
    for how in ["demoted", "disabled", "disabled and enabled", "removed", "role narrowed"] {
        here.as_owner("DELETE", "/api/v1/roles/host").send().await;
        let person = here.person("owner").await;
        if how == "role narrowed" {
            here.role("host", &["*"]).await;
            person.patched(json!({"role": "host"})).await.expect(200);
        }
        let (_, email, token) = invited(&person, "editor").await;
        let (_, other_email, other) = invited(&person, "editor").await;
        there.accept(&other, &other_email).await.expect(201);
        match how {
            "demoted" => _ = person.patched(json!({"role": "viewer"})).await.expect(200),
            "removed" => _ = here.as_owner("DELETE", &person.path()).send().await.expect(200),
            "role narrowed" => {
                let narrow = json!({"permissions": ["invitations:*", "records:read"]});
                here.ask("PATCH", "/api/v1/roles/host", narrow).await.expect(200);
            }
            _ => _ = person.patched(json!({"status": "disabled"})).await.expect(200),
        }
        if how == "disabled and enabled" {
            person.patched(json!({"status": "active"})).await.expect(200);
        }
        let closed = there.accept(&token, &email).await.expect_problem(404, "invitation_not_found");
        assert_eq!(closed.masked(&[]).lines().last(), unknown, "{how}");
        here.on_shard("UPDATE users SET role = 'viewer' WHERE tenant_id = ?1 AND role = 'host'", &[]).await;
    }
}

#[tokio::test]
async fn a_role_that_grew_beyond_the_sender_is_not_given() {
    let (here, there) = pair().await;
    here.role("press", &["records:read"]).await;
    here.role("host", &["invitations:*", "records:read"]).await;
    let person = here.person("host").await;
    let (_, email, token) = invited(&person, "press").await;
    here.ask("PATCH", "/api/v1/roles/press", json!({"permissions": ["*"]})).await.expect(200);
    there.accept(&token, &email).await.expect_problem(404, "invitation_not_found");
    here.ask("PATCH", "/api/v1/roles/press", json!({"permissions": ["records:read"]})).await.expect(200);
    there.accept(&token, &email).await.expect(201);
}

#[tokio::test]
async fn whoever_sends_an_invitation_again_answers_for_it() {
    let (here, there) = pair().await;
    let (gone, stays) = (here.person("owner").await, here.person("owner").await);
    let (id, email, token) = invited(&gone, "editor").await;
    here.as_owner("DELETE", &gone.path()).send().await.expect(200);
    there.accept(&token, &email).await.expect_problem(404, "invitation_not_found");
    here.on_shard("UPDATE tenant_invitations SET sent_at = 1 WHERE tenant_id = ?1", &[]).await;
    let before = here.invitation_tokens().await.len();
    let sent = stays.call("POST", &format!("{INVITATIONS}/{id}/resend")).send().await.expect(200).data();
    assert_eq!(sent["invited_by"], json!(format!("user:{}", stays.id)));
    there.accept(&here.invitation_token(before).await, &email).await.expect(201);
}

#[tokio::test]
async fn invitations_of_keys_and_operators_end_with_them() {
    let (here, there) = pair().await;
    let invite = async |token: &str| {
        let (before, email) = (here.invitation_tokens().await.len(), address());
        let body = json!({"email": email, "role": "viewer"});
        here.call("POST", INVITATIONS).bearer(token).json(&body).send().await.expect(201);
        (email, here.invitation_token(before).await)
    };
    let key = here.key(&["*"]).await;
    let (email, token) = invite(&key.text).await;
    let (still, good) = invite(&key.text).await;
    there.accept(&good, &still).await.expect(201);
    here.as_owner("DELETE", &format!("{KEYS}/{}", key.id)).send().await.expect(200);
    there.accept(&token, &email).await.expect_problem(404, "invitation_not_found");

    // Taken over by somebody else, a key is another inviter.
    let person = here.person("owner").await;
    here.made_user("owner").await;
    let (id, text) = made(person.call("POST", KEYS), &["*"]).await;
    let (email, token) = invite(&text).await;
    here.as_owner("DELETE", &person.path()).send().await.expect(200);
    here.as_owner("POST", &format!("{KEYS}/{id}/reroll")).send().await.expect(200);
    there.accept(&token, &email).await.expect_problem(404, "invitation_not_found");

    let support = here.world.operator("support").await;
    support.grant(&here, "owner").await;
    let (email, token) = invite(&support.entered(&here).await).await;
    let (signed_out, kept) = invite(&support.entered(&here).await).await;
    support.call("POST", "/api/v1/operators/logout").send().await.expect(204);
    there.accept(&kept, &signed_out).await.expect(201);
    support.take_grant(&here).await;
    support.grant(&here, "owner").await;
    there.accept(&token, &email).await.expect_problem(404, "invitation_not_found");
}

/// A tenant with a private collection of files, and a record in it.
async fn with_files() -> (Tenant, Tenant) {
    let (here, there) = pair().await;
    here.collection("posts", json!({}), json!({"files": true})).await;
    here.record("posts", json!({"id": "p1"})).await;
    here.made_user("owner").await;
    (here, there)
}

/// A URL that takes the record's file, asked for by a request.
async fn announced(tenant: &Tenant, call: crate::world::RequestBuilder) -> String {
    let body = json!({"name": "a.png", "content_type": "image/png", "size": PNG.len()});
    tenant.behind_host(&call.json(&body).send().await.expect(201).data()["url"])
}

async fn uploaded(tenant: &Tenant, link: &str) -> TestResponse {
    tenant.call("PUT", link).header("Content-Type", "image/png").bytes(PNG.to_vec()).send().await
}

#[tokio::test]
async fn an_upload_url_ends_with_who_asked_for_it() {
    let (here, there) = with_files().await;
    for how in ["sign out", "demote", "disable", "remove", "revoke", "revoke all"] {
        let person = here.person("owner").await;
        let good = announced(&here, person.call("POST", FILE)).await;
        uploaded(&there, &good).await.expect(201);
        let late = announced(&here, person.call("POST", FILE)).await;
        match how {
            "sign out" => _ = person.call("POST", "/api/v1/auth/logout").send().await.expect(204),
            "demote" => _ = person.patched(json!({"role": "viewer"})).await.expect(200),
            "disable" => _ = person.patched(json!({"status": "disabled"})).await.expect(200),
            "remove" => _ = here.as_owner("DELETE", &person.path()).send().await.expect(200),
            "revoke" => {
                here.as_owner("POST", &format!("{}/sessions/revoke", person.path())).send().await.expect(200);
            }
            _ => _ = here.as_owner("POST", "/api/v1/auth/revoke-all").send().await.expect(200),
        }
        uploaded(&there, &late).await.expect_problem(403, "invalid_link");
    }
    let key = here.key(&["records:*"]).await;
    let late = announced(&here, here.call("POST", FILE).bearer(&key.text)).await;
    let narrowed = announced(&here, here.call("POST", FILE).bearer(&key.text)).await;
    here.ask("PATCH", &format!("{KEYS}/{}", key.id), json!({"scopes": ["records:read"]})).await.expect(200);
    uploaded(&there, &narrowed).await.expect_problem(403, "invalid_link");
    here.as_owner("DELETE", &format!("{KEYS}/{}", key.id)).send().await.expect(200);
    uploaded(&there, &late).await.expect_problem(403, "invalid_link");
}

#[tokio::test]
async fn a_file_url_ends_with_who_asked_for_it() {
    let (here, there) = with_files().await;
    uploaded(&there, &announced(&here, here.as_owner("POST", FILE)).await).await.expect(201);
    let link =
        async |call: crate::world::RequestBuilder| here.behind_host(&call.send().await.expect(200).data()["url"]);
    let sees = async |link: &str| there.call("GET", link).send().await.status;
    here.role("blind", &["settings:read"]).await;
    for how in ["demote", "disable", "remove", "revoke all"] {
        let person = here.person("owner").await;
        let url = link(person.call("GET", FILE)).await;
        assert_eq!(sees(&url).await, 200);
        person.call("POST", "/api/v1/auth/logout").send().await.expect(204);
        assert_eq!(sees(&url).await, 200, "a link outlasts the session, not the person");
        match how {
            "demote" => _ = person.patched(json!({"role": "blind"})).await.expect(200),
            "disable" => {
                person.patched(json!({"status": "disabled"})).await.expect(200);
                person.patched(json!({"status": "active"})).await.expect(200);
            }
            "remove" => _ = here.as_owner("DELETE", &person.path()).send().await.expect(200),
            _ => _ = here.as_owner("POST", "/api/v1/auth/revoke-all").send().await.expect(200),
        }
        assert_eq!(sees(&url).await, 403, "{how}");
        let (head, by) = url.split_once("&by=").unwrap();
        let (_, signature) = by.split_once("&signature=").unwrap();
        let mine = link(here.as_owner("GET", FILE)).await;
        let (_, other) = mine.split_once("&by=").unwrap();
        let (other, _) = other.split_once('&').unwrap();
        assert_eq!(sees(&format!("{head}&by={other}&signature={signature}")).await, 403, "who asked is signed");
    }
    let key = here.key(&["records:read"]).await;
    let url = link(here.call("GET", FILE).bearer(&key.text)).await;
    assert_eq!(sees(&url).await, 200);
    here.as_owner("DELETE", &format!("{KEYS}/{}", key.id)).send().await.expect(200);
    assert_eq!(sees(&url).await, 403);
}

/// Support that was granted the tenant, and a token with which it entered.
async fn entered(tenant: &Tenant, role: &str) -> (Operator, String) {
    let support = tenant.world.operator("support").await;
    support.grant(tenant, role).await;
    let token = support.entered(tenant).await;
    (support, token)
}

#[tokio::test]
async fn a_switch_token_does_not_revive_with_its_grant() {
    let (here, there) = pair().await;
    let (support, token) = entered(&here, "owner").await;
    let user = here.user("owner").await;
    let acting = support.impersonate(&here.id, &user.id).await.expect(200).data();
    let acting = acting["token"].as_str().unwrap();
    assert_eq!((status(&there, KEYS, &token).await, status(&there, KEYS, acting).await), (200, 200));
    support.take_grant(&here).await;
    support.grant(&here, "owner").await;
    assert_eq!((status(&there, KEYS, &token).await, status(&there, KEYS, acting).await), (401, 401));
    assert_eq!(status(&there, KEYS, &support.entered(&here).await).await, 200);
}

#[tokio::test]
async fn nothing_of_an_operator_revives_with_their_role() {
    let (here, there) = pair().await;
    let admin = here.world.operator("admin").await;
    admin.grant(&here, "viewer").await;
    let token = admin.entered(&here).await;
    assert_eq!(status(&there, KEYS, &token).await, 200);
    admin.patch(json!({"role": "support"})).await;
    assert_eq!(status(&there, "/api/v1/settings", &token).await, 401, "it was an admin's");
    let narrow = admin.entered(&here).await;
    assert_eq!(status(&there, KEYS, &narrow).await, 403);
    admin.patch(json!({"role": "admin"})).await;
    assert_eq!((status(&there, KEYS, &token).await, status(&there, KEYS, &narrow).await), (401, 401));
    admin.patch(json!({"status": "disabled"})).await;
    admin.patch(json!({"status": "active"})).await;
    assert_eq!(status(&there, KEYS, &token).await, 401);
}

#[tokio::test]
async fn a_grant_does_not_go_on_with_another_role_of_the_same_name() {
    let (here, there) = pair().await;
    here.role("press", &["audit:read"]).await;
    let (support, token) = entered(&here, "press").await;
    assert_eq!(status(&there, "/api/v1/audit", &token).await, 200);
    here.as_owner("DELETE", "/api/v1/roles/press").send().await.expect(200);
    assert_eq!(status(&there, "/api/v1/audit", &token).await, 401);
    here.role("press", &["*"]).await;
    assert_eq!(status(&there, "/api/v1/audit", &token).await, 401);
    support.grant(&here, "press").await;
    assert_eq!(status(&there, KEYS, &support.entered(&here).await).await, 200);
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

#[tokio::test]
async fn revoke_all_means_all() {
    let (here, there) = pair().await;
    here.patch(json!({"settings": {"registration": "open"}})).await;
    let person = here.person("owner").await;
    let user = here.user("owner").await;
    let (tokens, cookie) = (user.login().await, user.browser().await);
    let (support, token) = entered(&here, "owner").await;
    let acting = support.impersonate(&here.id, &user.id).await.expect(200).data();
    let (_, key) = made(person.call("POST", KEYS), &["users:read"]).await;
    let (_, email, invitation) = invited(&person, "viewer").await;
    let forgot = json!({"email": user.email});
    here.call("POST", "/api/v1/auth/password/forgot").json(&forgot).send().await.expect(202);
    let reset = here.mailed("password_reset", 1).await.remove(0);
    let registered = address();
    let body = json!({"email": registered, "password": PASSWORD});
    let registration = here.call("POST", "/api/v1/auth/register").json(&body).send().await.expect(202).data();
    let proof = here.mailed("email_verification", 1).await.remove(0);

    here.as_owner("POST", "/api/v1/auth/revoke-all").send().await.expect(200);
    for token in [&tokens.access, &token, acting["token"].as_str().unwrap(), &person.token] {
        assert_eq!(status(&there, "/api/v1/users", token).await, 401);
    }
    there.call("GET", "/api/v1/auth/me").header("Cookie", &cookie).send().await.expect(401);
    let refresh = json!({"refresh_token": tokens.refresh});
    there.call("POST", "/api/v1/auth/refresh").json(&refresh).send().await.expect(401);
    there.accept(&invitation, &email).await.expect_problem(404, "invitation_not_found");
    let body = json!({"token": reset, "password": "another battery staple"});
    let late = there.call("POST", "/api/v1/auth/password/reset").json(&body).send().await;
    late.expect_problem(400, "invalid_mailed_token");
    let body = json!({"token": proof, "registration": registration["registration"]});
    let late = there.call("POST", "/api/v1/auth/verify-email").json(&body).send().await;
    late.expect_problem(400, "invalid_mailed_token");
    assert_eq!(status(&there, "/api/v1/users", &key).await, 200, "keys stay unless it says so");
    let weak = here.key(&["users:*"]).await;
    let weak = here.call("POST", "/api/v1/auth/revoke-all").bearer(&weak.text).json(&json!({"api_keys": true}));
    weak.send().await.expect_problem(403, "forbidden");
    here.ask("POST", "/api/v1/auth/revoke-all", json!({"api_keys": true})).await.expect(200);
    assert_eq!(status(&there, "/api/v1/users", &key).await, 401);
    assert_eq!(here.audited("tenant.revoke_all").await.len(), 2);
}

#[tokio::test]
async fn revoking_a_user_means_all_of_the_users() {
    let (here, there) = pair().await;
    let (person, other) = (here.person("owner").await, here.person("owner").await);
    let (_, key) = made(person.call("POST", KEYS), &["users:read"]).await;
    let (_, others) = made(other.call("POST", KEYS), &["users:read"]).await;
    let (_, email, invitation) = invited(&person, "viewer").await;
    let (_, other_email, other_invitation) = invited(&other, "viewer").await;
    let path = format!("{}/sessions/revoke", person.path());
    here.as_owner("POST", &path).send().await.expect(200);
    assert_eq!((status(&there, KEYS, &person.token).await, status(&there, KEYS, &other.token).await), (401, 200));
    there.accept(&invitation, &email).await.expect_problem(404, "invitation_not_found");
    there.accept(&other_invitation, &other_email).await.expect(201);
    assert_eq!(status(&there, "/api/v1/users", &key).await, 200);
    here.ask("POST", &path, json!({"api_keys": true})).await.expect(200);
    assert_eq!(
        (status(&there, "/api/v1/users", &key).await, status(&there, "/api/v1/users", &others).await),
        (401, 200)
    );
    here.ask("POST", &path, json!({"api_keys": 1})).await.expect_invalid("/api_keys");
}

#[tokio::test]
async fn who_is_disabled_and_enabled_again_has_nothing_of_before() {
    let (here, there) = pair().await;
    here.made_user("owner").await;
    let user = here.user("owner").await;
    let tokens: Tokens = user.login().await;
    let path = format!("/api/v1/users/{}", user.id);
    for status in ["disabled", "active"] {
        here.ask("PATCH", &path, json!({"status": status})).await.expect(200);
    }
    assert_eq!(status(&there, KEYS, &tokens.access).await, 401);
    let refresh = json!({"refresh_token": tokens.refresh});
    there.call("POST", "/api/v1/auth/refresh").json(&refresh).send().await.expect(401);
    assert_eq!(status(&there, KEYS, &user.login().await.access).await, 200);
}
