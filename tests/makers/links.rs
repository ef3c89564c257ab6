//! URLs that take or show a file: worth what whoever asked for them may do.

use serde_json::json;

use super::{KEYS, pair};
use crate::world::{RequestBuilder, Tenant, TestResponse};

const FILE: &str = "/api/v1/posts/p1/file";
const PNG: &[u8] = b"\x89PNG 0123456789";

/// A tenant with a private collection of files, and a record in it.
async fn with_files() -> (Tenant, Tenant) {
    let (here, there) = pair().await;
    here.collection("posts", json!({}), json!({"files": true})).await;
    here.record("posts", json!({"id": "p1"})).await;
    here.made_user("owner").await;
    (here, there)
}

/// A URL that takes the record's file, asked for by a request.
async fn announced(tenant: &Tenant, call: RequestBuilder) -> String {
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
    let link = async |call: RequestBuilder| here.behind_host(&call.send().await.expect(200).data()["url"]);
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
