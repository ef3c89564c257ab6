//! Invitations: worth what their sender may do when they are accepted.

use serde_json::json;

use super::{INVITATIONS, KEYS, invited, made, pair};
use crate::world::address;

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
