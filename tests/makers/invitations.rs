//! Invitations: worth what their sender may do when they are accepted.

use serde_json::json;

use super::{INVITATIONS, KEYS, invited, made, pair};
use crate::world::{ROOT, RequestBuilder, address};

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
    let seen = here.get(&format!("{INVITATIONS}/{id}")).await.expect(200).data();
    assert_eq!(
        (&seen["status"], &here.get(INVITATIONS).await.data()[0]["status"]),
        (&json!("closed"), &json!("closed"))
    );
    here.on_shard("UPDATE tenant_invitations SET sent_at = 1 WHERE tenant_id = ?1", &[]).await;
    let before = here.invitation_tokens().await.len();
    let sent = stays.call("POST", &format!("{INVITATIONS}/{id}/resend")).send().await.expect(200).data();
    assert_eq!((&sent["invited_by"], &sent["status"]), (&json!(format!("user:{}", stays.id)), &json!("open")));
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

#[tokio::test]
async fn an_invitation_that_cannot_be_accepted_is_closed_and_makes_room() {
    let (here, there) = pair().await;
    let admin = here.world.operator("admin").await;
    let key = admin.call("POST", "/api/v1/platform-keys").json(&json!({"name": "x", "permissions": ["tenants:enter"]}));
    let platform = key.send().await.expect(201).data()["key"].as_str().unwrap().to_owned();
    let tenants = here.key(&["*"]).await;
    let by_platform = here.world.call("POST", ROOT, INVITATIONS).header("X-Tenant-ID", &here.id).bearer(&platform);
    let by_tenants = here.call("POST", INVITATIONS).bearer(&tenants.text);
    let invite = async |call: &RequestBuilder, role: &str| {
        let (before, email) = (here.invitation_tokens().await.len(), address());
        let made = call.clone().json(&json!({"email": email, "role": role})).send().await.expect(201).data();
        (made["id"].as_str().unwrap().to_owned(), email, here.invitation_token(before).await)
    };
    let mut dead = Vec::new();
    for _ in 0..2 {
        dead.push(invite(&by_platform, "owner").await);
        dead.push(invite(&by_tenants, "owner").await);
    }
    let status = async |id: &str| here.get(&format!("{INVITATIONS}/{id}")).await.expect(200).data()["status"].clone();
    here.role("host", &["invitations:*", "users:*", "records:read"]).await;
    let host = here.person("host").await;
    let delete = async |id: &str| host.call("DELETE", &format!("{INVITATIONS}/{id}")).send().await;
    for (id, email, _) in &dead {
        assert_eq!(status(id).await, "open");
        here.ask("POST", INVITATIONS, json!({"email": email})).await.expect_problem(409, "conflict");
        delete(id).await.expect_problem(403, "beyond_own_permissions");
    }

    for status in ["disabled", "active"] {
        admin.patch(json!({"status": status})).await;
    }
    here.on_shard("UPDATE api_keys SET expires_at = 1 WHERE tenant_id = ?1", &[]).await;
    let listed = here.get(INVITATIONS).await.expect(200).data();
    let closed = listed.as_array().unwrap().iter().filter(|one| one["status"] == "closed").count();
    assert_eq!((closed, listed[0].get("inviter_stamp")), (4, None), "{listed}");
    for (id, email, token) in &dead {
        assert_eq!(status(id).await, "closed");
        there.accept(token, email).await.expect_problem(404, "invitation_not_found");
    }
    // Somebody who may do less may invite the address anew, make a user of it, or take the closed one back.
    for (place, (id, email, token)) in dead.iter().enumerate() {
        let body = json!({"email": email, "role": "host"});
        match place {
            0 | 1 => {
                let before = here.invitation_tokens().await.len();
                host.call("POST", INVITATIONS).json(&body).send().await.expect(201);
                there.accept(token, email).await.expect_problem(404, "invitation_not_found");
                there.accept(&here.invitation_token(before).await, email).await.expect(201);
            }
            2 => _ = host.call("POST", "/api/v1/users").json(&body).send().await.expect(201),
            _ => _ = delete(id).await.expect(200),
        }
        here.get(&format!("{INVITATIONS}/{id}")).await.expect_problem(404, "not_found");
    }
}
