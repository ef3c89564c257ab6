//! Mail: a signed webhook asks the operator's hook to send it.

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

use crate::world::{World, eventually, hmac_base64, now, standard_key, within};

const SECRET: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

/// One request as the hook got it.
struct Delivery {
    headers: Vec<(String, String)>,
    body: String,
}

impl Delivery {
    fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }
}

/// Takes one request and answers it with this status.
async fn take(listener: &TcpListener, status: &str) -> Delivery {
    within("a delivery", async {
        let (socket, _) = listener.accept().await.unwrap();
        let mut socket = BufReader::new(socket);
        let (mut headers, mut line) = (Vec::new(), String::new());
        socket.read_line(&mut line).await.unwrap();
        loop {
            line.clear();
            socket.read_line(&mut line).await.unwrap();
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            headers.push((name.to_lowercase(), value.to_owned()));
        }
        let mut delivery = Delivery { headers, body: String::new() };
        let mut body = vec![0; delivery.header("content-length").parse().unwrap()];
        socket.read_exact(&mut body).await.unwrap();
        delivery.body = String::from_utf8(body).unwrap();
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        socket.write_all(answer.as_bytes()).await.unwrap();
        delivery
    })
    .await
}

/// A world of its own whose mail goes to a hook, and the hook.
async fn hooked() -> (World, TcpListener) {
    let world = World::own().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hook = format!("http://127.0.0.1:{}/mail", listener.local_addr().unwrap().port());
    world.restart(&[("MAIL_HOOK_URL", &hook), ("MAIL_HOOK_SECRET", SECRET)]).await;
    (world, listener)
}

#[tokio::test]
async fn a_mail_goes_to_the_hook_signed_and_again_if_it_is_not_taken() {
    let (world, listener) = hooked().await;
    let tenant = world.tenant().create().await;
    let user = tenant.user("viewer").await;
    let forgot = json!({"email": user.email});
    tenant.call("POST", "/api/v1/auth/password/forgot").json(&forgot).send().await.expect(202);
    let refused = take(&listener, "503 Service Unavailable").await;
    let taken = take(&listener, "204 No Content").await;
    assert_eq!(refused.body, taken.body);
    assert_eq!(refused.header("webhook-id"), taken.header("webhook-id"));
    let (id, at) = (taken.header("webhook-id"), taken.header("webhook-timestamp"));
    assert!(now().abs_diff(at.parse().unwrap()) < 60);
    let signed = hmac_base64(&standard_key(SECRET), format!("{id}.{at}.{}", taken.body).as_bytes());
    assert_eq!(taken.header("webhook-signature"), format!("v1,{signed}"));
    let mail: Value = serde_json::from_str(&taken.body).unwrap();
    assert_eq!((&mail["type"], &mail["tenant_id"]), (&json!("password_reset"), &json!(tenant.id)));
    assert_eq!((&mail["to"], &mail["name"]), (&json!(user.email), &json!("A User")));
    assert!(mail["expires_at"].is_string());
    let reset = json!({"token": mail["token"], "password": "another battery staple"});
    tenant.call("POST", "/api/v1/auth/password/reset").json(&reset).send().await.expect(200);
    let token = mail["token"].as_str().unwrap();
    for line in world.logs().await {
        let line = line.to_string();
        assert!(!line.contains(token) && !line.contains(&user.email), "{line}");
    }
}

#[tokio::test]
async fn a_hook_that_fails_and_a_hook_that_is_missing_are_noticed_in_the_log() {
    let (world, listener) = hooked().await;
    let tenant = world.tenant().create().await;
    let user = tenant.user("viewer").await;
    let forgot = async || {
        let body = json!({"email": user.email});
        tenant.call("POST", "/api/v1/auth/password/forgot").json(&body).send().await.expect(202);
    };
    let noticed = async |event: &str| {
        let line = eventually(event, async || world.logs().await.into_iter().find(|line| line["event"] == event)).await;
        assert_eq!(line["level"], "error");
        assert!(!line.to_string().contains(&user.email), "{line}");
    };
    forgot().await;
    for _ in 0..3 {
        take(&listener, "500 Internal Server Error").await;
    }
    noticed("mail").await;
    world.restart(&[("MAIL_LOG", "false")]).await;
    forgot().await;
    noticed("mail_not_configured").await;
}
