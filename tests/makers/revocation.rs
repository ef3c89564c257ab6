//! Revoking all means all.

use serde_json::json;

use super::{KEYS, entered, invited, made, pair, status};
use crate::world::{PASSWORD, Tokens, address};

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
    let (support, _) = entered(&here, "owner").await;
    let acting = support.impersonate(&here.id, &user.id).await.expect(200).data();
    let acting = acting["token"].as_str().unwrap();
    assert_eq!(status(&there, KEYS, acting).await, 200);
    let path = format!("/api/v1/users/{}", user.id);
    for status in ["disabled", "active"] {
        here.ask("PATCH", &path, json!({"status": status})).await.expect(200);
    }
    assert_eq!((status(&there, KEYS, &tokens.access).await, status(&there, KEYS, acting).await), (401, 401));
    let refresh = json!({"refresh_token": tokens.refresh});
    there.call("POST", "/api/v1/auth/refresh").json(&refresh).send().await.expect(401);
    assert_eq!(status(&there, KEYS, &user.login().await.access).await, 200);
}
