//! The right to hear: whoever acts in a tenant opens the streams that their permissions allow, on both wires, until those
//! are taken from them. What is taken through one isolate ends the streams of the other one, and opens none there.

use serde_json::{Value, json};

use crate::world::{Person, RequestBuilder, Stream, Tenant, TestResponse, World, stranger};

/// A tenant as it is reached through each of two isolates, with records that strangers may not read.
async fn tenant() -> (Tenant, Tenant) {
    let (a, b) = World::pair().await;
    let here = a.tenant().plan("pro").create().await;
    here.collection("leads", json!({"n": {"type": "integer"}}), json!({"live": true})).await;
    let there = here.through(&b);
    (here, there)
}

/// How somebody proves who they are.
#[derive(Clone)]
enum Proof {
    Bearer(String),
    Cookie(String),
}

impl Proof {
    /// What is presented.
    fn text(&self) -> &str {
        match self {
            Proof::Bearer(text) | Proof::Cookie(text) => text,
        }
    }
}

/// The two wires.
const WIRES: [&str; 2] = ["/events", "/.well-known/mercure"];

/// A subscription to orders and leads on a wire.
fn asked(tenant: &Tenant, wire: &str, proof: &Proof) -> RequestBuilder {
    let name = if wire == "/events" { "topic" } else { "match" };
    let call = tenant.call("GET", wire).header("Accept", "text/event-stream");
    let call = ["orders", "records/leads", "end"].into_iter().fold(call, |call, topic| call.query(name, topic));
    match proof {
        Proof::Bearer(text) => call.bearer(text),
        Proof::Cookie(text) => call.header("Cookie", text),
    }
}

/// Tells something private on each kind of topic, then something public.
async fn tell(tenant: &Tenant) {
    tenant.webhook().channels(&["orders"]).data(json!("an order")).private().accepted().await;
    tenant.record("leads", json!({"n": 1})).await;
    // The changes of records come by way of the outbox.
    crate::world::eventually("an empty outbox", async || {
        let waiting = tenant.on_shard("SELECT count(*) AS n FROM record_outbox WHERE tenant_id = ?1", &[]).await;
        (waiting[0]["n"] == 0).then_some(())
    })
    .await;
    tenant.publish("end", json!("end")).await;
}

/// Of orders and of leads, which a stream tells of before the end.
async fn hears(stream: &mut Stream) -> (bool, bool) {
    let (mut orders, mut leads) = (false, false);
    loop {
        let block = stream.must().await;
        let Some(data) = &block.data else { continue };
        orders |= data.contains("an order");
        leads |= data.contains("\"collection\":\"leads\"");
        if data.contains("\"end\"") {
            return (orders, leads);
        }
    }
}

/// Reads a stream to its end: the reason that was told, and whether anything private came until then.
async fn ended(stream: &mut Stream) -> (String, bool) {
    let (mut reason, mut private) = (String::new(), false);
    while let Some(block) = stream.block().await {
        let data = block.data.unwrap_or_default();
        private |= data.contains("too late");
        if block.event.as_deref() == Some("hub.closed") {
            reason = serde_json::from_str::<Value>(&data).unwrap()["reason"].as_str().unwrap().to_owned();
        }
    }
    (reason, private)
}

/// Opens streams on both wires through one isolate, narrows through the other, and tells something private right behind the
/// answer: both streams end for this reason without it, and no stream opens through either isolate any more.
async fn narrowed(
    (here, there): (&Tenant, &Tenant),
    proof: &Proof,
    narrow: impl Future<Output = TestResponse>,
    reason: &str,
    (status, code): (u16, &str),
) {
    let mut streams = Vec::new();
    for wire in WIRES {
        streams.push(asked(there, wire, proof).stream().await);
    }
    let answer = narrow.await;
    assert!(answer.status < 300, "{}: {}", answer.status, answer.body);
    here.webhook().channels(&["orders"]).data(json!("too late")).private().accepted().await;
    for (stream, wire) in streams.iter_mut().zip(WIRES) {
        let (told, private) = ended(stream).await;
        assert!(!private, "{wire}: a private event came behind the answer");
        // On Mercure's wire the hub says nothing of its own.
        assert_eq!(told, if wire == "/events" { reason } else { "" }, "{wire}");
        for isolate in [here, there] {
            asked(isolate, wire, proof).refused().await.expect_problem(status, code);
        }
    }
}

const NOBODY: (u16, &str) = (401, "invalid_token");
const NO_RIGHT: (u16, &str) = (403, "forbidden");

async fn key(tenant: &Tenant, scopes: &[&str]) -> (String, Proof) {
    let key = tenant.key(scopes).await;
    (format!("/api/v1/api-keys/{}", key.id), Proof::Bearer(key.text))
}

fn of(person: &Person) -> Proof {
    Proof::Bearer(person.token.clone())
}

#[tokio::test]
async fn whoever_may_read_hears_on_both_wires() {
    let (here, there) = tenant().await;
    let operator = here.world.operator("support").await;
    operator.grant(&here, "viewer").await;
    let user = here.user("viewer").await;
    let impersonated = operator.impersonate(&here.id, &user.id).await.expect(200).data();
    let proofs = [
        Proof::Bearer(here.user("viewer").await.login().await.access),
        Proof::Cookie(here.user("viewer").await.browser().await),
        key(&here, &["events:read", "records:read"]).await.1,
        Proof::Bearer(operator.entered(&here).await),
        Proof::Bearer(impersonated["token"].as_str().unwrap().to_owned()),
    ];
    let mut streams = vec![there.subscribe(&["orders", "records/leads", "end"]).await];
    for proof in &proofs {
        for wire in WIRES {
            streams.push(asked(&there, wire, proof).stream().await);
        }
    }
    tell(&here).await;
    for (at, stream) in streams.iter_mut().enumerate() {
        let hears = hears(stream).await;
        assert_eq!(hears, if at == 0 { (false, false) } else { (true, true) }, "stream {at}");
    }
}

#[tokio::test]
async fn each_right_opens_its_own_events_live_and_in_a_replay() {
    let (here, there) = tenant().await;
    let start = here.publish("end", json!("start")).await;
    let rights = [("events:read", (true, false)), ("records:read", (false, true))];
    let mut streams = Vec::new();
    for (right, heard) in rights {
        let (_, proof) = key(&here, &[right]).await;
        for wire in WIRES {
            streams.push((asked(&there, wire, &proof).stream().await, heard, right));
        }
    }
    tell(&here).await;
    for (right, heard) in rights {
        let (_, proof) = key(&here, &[right]).await;
        let replay = asked(&there, "/events", &proof).header("Last-Event-ID", &start);
        streams.push((replay.stream().await, heard, right));
        let replay = asked(&there, "/.well-known/mercure", &proof).header("Last-Event-ID", &format!("#{start}"));
        streams.push((replay.stream().await, heard, right));
    }
    for (stream, heard, right) in &mut streams {
        assert_eq!(hears(stream).await, *heard, "{right}");
    }
    let (_, neither) = key(&here, &["collections:*", "subscriber-tokens:write"]).await;
    for wire in WIRES {
        let refused = asked(&there, wire, &neither).refused().await.expect_problem(403, "forbidden");
        assert!(refused.body.contains("events:read"), "{}", refused.body);
    }
    let ticket = there.call("PUT", "/events");
    ticket.bearer(neither.text()).send().await.expect_problem(403, "forbidden");
}

#[tokio::test]
async fn a_wrong_credential_is_refused_and_never_taken_for_none() {
    let (here, there) = tenant().await;
    let other = here.world.tenant().create().await;
    let user = here.user("viewer").await;
    let (over, cookie) = (user.login().await, user.browser().await);
    here.call("POST", "/api/v1/auth/logout").bearer(&over.access).send().await.expect(204);
    let foreign = other.user("viewer").await.browser().await;
    let (path, gone) = key(&here, &["*"]).await;
    here.as_owner("DELETE", &path).send().await.expect(200);
    let bad = [
        Proof::Bearer(over.access.clone()),
        Proof::Bearer(over.refresh),
        Proof::Bearer(cookie.split_once('=').unwrap().1.to_owned()),
        Proof::Bearer(here.world.operator("admin").await.session),
        Proof::Bearer(crate::world::PLATFORM_KEY.to_owned()),
        Proof::Bearer("nonsense".into()),
        gone,
        Proof::Cookie(foreign),
        Proof::Cookie(format!("__Host-carillon_session={}", over.access)),
        Proof::Cookie("__Host-carillon_session=nonsense".into()),
    ];
    for proof in &bad {
        for wire in WIRES {
            let answer = asked(&there, wire, proof).refused().await.expect_problem(401, "invalid_token");
            assert!(answer.header("www-authenticate").starts_with("Bearer"));
        }
    }
    let theirs = other.key(&["*"]).await.text;
    asked(&there, "/events", &Proof::Bearer(theirs)).refused().await.expect_problem(404, "tenant_not_found");
}

#[tokio::test]
async fn a_session_cookie_counts_for_pages_of_the_tenants_own_list_alone() {
    let (here, there) = tenant().await;
    here.patch(json!({"cors_origins": ["https://www.example.com"]})).await;
    let proof = Proof::Cookie(here.user("viewer").await.browser().await);
    for wire in WIRES {
        let from = |origin: &str| asked(&there, wire, &proof).header("Origin", origin);
        from("https://evil.example").refused().await.expect_problem(403, "origin_not_allowed");
        for good in ["https://www.example.com", &format!("http://{}", here.host)] {
            from(good).stream().await;
        }
    }
    let cookie = proof.text();
    let ticket = |origin: &str| there.call("PUT", "/events").header("Cookie", cookie).header("Origin", origin).send();
    ticket("https://evil.example").await.expect_problem(403, "origin_not_allowed");
    ticket("https://www.example.com").await.expect(201);
    there.call("PUT", "/events").header("Cookie", cookie).send().await.expect_problem(403, "origin_not_allowed");
    // What a page presents by itself goes before what its browser sends along.
    let subscriber = there.token(&["orders"]).sign();
    let both = there.events(&["orders"]).header("Cookie", &format!("{cookie}; carillon_subscriber={subscriber}x"));
    both.refused().await.expect_problem(401, "invalid_token");
    let ticket = there.ticket(there.token(&["orders"])).await;
    there.events(&["orders"]).header("Cookie", cookie).ticket(&ticket).live().await;
}

#[tokio::test]
async fn a_key_that_is_narrowed_ends_its_streams() {
    let (here, there) = tenant().await;
    let both = (&here, &there);
    let patch = |path: &str, change: Value| here.as_owner("PATCH", path).json(&change).send();
    let hearing = ["events:read", "records:read", "audit:read"];

    let (path, proof) = key(&here, &hearing).await;
    narrowed(both, &proof, here.as_owner("DELETE", &path).send(), "token_revoked", NOBODY).await;
    let (path, proof) = key(&here, &hearing).await;
    narrowed(both, &proof, patch(&path, json!({"scopes": ["audit:read"]})), "token_revoked", NO_RIGHT).await;
    let (path, proof) = key(&here, &hearing).await;
    narrowed(both, &proof, patch(&path, json!({"ip_allowlist": ["192.0.2.1"]})), "token_revoked", NOBODY).await;
    let (path, proof) = key(&here, &hearing).await;
    let reroll = here.as_owner("POST", &format!("{path}/reroll")).json(&json!({"grace_seconds": 0})).send();
    narrowed(both, &proof, reroll, "token_revoked", NOBODY).await;
}

/// A key that another one makes, and what it proves.
async fn made_by(tenant: &Tenant, maker: &Proof, scopes: &[&str]) -> (String, Proof) {
    let body = json!({"name": "made", "scopes": scopes});
    let call = tenant.call("POST", "/api/v1/api-keys").bearer(maker.text()).json(&body);
    let data = call.send().await.expect(201).data();
    (
        format!("/api/v1/api-keys/{}", data["id"].as_str().unwrap()),
        Proof::Bearer(data["key"].as_str().unwrap().to_owned()),
    )
}

#[tokio::test]
async fn addresses_that_a_key_loses_are_lost_to_streams_and_tickets_of_keys_made_by_it() {
    let (here, there) = tenant().await;
    let makers = ["api-keys:*", "events:read", "records:read"];
    let (path, first) = key(&here, &makers).await;
    let (_, second) = made_by(&here, &first, &makers).await;
    let (_, third) = made_by(&here, &second, &["events:read", "records:read"]).await;
    let ticket = there.call("PUT", "/events").bearer(third.text()).send().await.expect(201).data();
    let ticket = ticket["ticket"].as_str().unwrap();
    let mut streams = Vec::new();
    for proof in [&second, &third] {
        streams.push(asked(&there, "/events", proof).stream().await);
    }
    streams.push(there.events(&["orders", "end"]).ticket(ticket).stream().await);
    let list = json!({"ip_allowlist": ["192.0.2.0/24"]});
    here.as_owner("PATCH", &path).json(&list).send().await.expect(200);
    here.webhook().channels(&["orders"]).data(json!("too late")).private().accepted().await;
    for stream in &mut streams {
        assert_eq!(ended(stream).await, ("token_revoked".to_owned(), false));
    }
    there.events(&["orders"]).ticket(ticket).refused().await.expect_problem(401, "invalid_token");
    asked(&there, "/events", &third).refused().await.expect_problem(401, "invalid_token");
    asked(&there, "/events", &third).address("192.0.2.7").stream().await;
}

#[tokio::test]
async fn a_narrowed_stream_may_come_back_with_what_is_left() {
    let (here, there) = tenant().await;
    let (path, proof) = key(&here, &["events:read", "records:read"]).await;
    let patch = |change: Value| here.as_owner("PATCH", &path).json(&change).send();
    let mut stream = asked(&there, "/events", &proof).stream().await;
    patch(json!({"name": "another"})).await.expect(200);
    tell(&here).await;
    assert_eq!(hears(&mut stream).await, (true, true), "another name ends nothing");
    patch(json!({"scopes": ["events:read"]})).await.expect(200);
    assert_eq!(ended(&mut stream).await.0, "token_revoked");
    let mut stream = asked(&there, "/events", &proof).stream().await;
    tell(&here).await;
    assert_eq!(hears(&mut stream).await, (true, false));
    // Within the grace the text before opens streams, which end with it.
    let reroll = here.as_owner("POST", &format!("{path}/reroll")).json(&json!({"grace_seconds": 600}));
    let rerolled = reroll.send().await.expect(200).data();
    assert_eq!(ended(&mut stream).await.0, "token_revoked");
    let old = proof.text();
    let until = rerolled["previous_until"].as_str().unwrap();
    let ticket = there.call("PUT", "/events").bearer(old).send().await.expect(201).data();
    assert_eq!(ticket["expires_at"], until);
    asked(&there, "/events", &Proof::Bearer(rerolled["key"].as_str().unwrap().to_owned())).stream().await;
}

#[tokio::test]
async fn a_user_who_loses_rights_loses_their_streams() {
    let (here, there) = tenant().await;
    let both = (&here, &there);
    here.role("hears", &["events:read", "records:read"]).await;
    here.role("deaf", &["audit:read"]).await;

    let person = here.person("viewer").await;
    narrowed(both, &of(&person), person.patched(json!({"status": "disabled"})), "token_revoked", NOBODY).await;
    let person = here.person("viewer").await;
    narrowed(both, &of(&person), person.patched(json!({"role": "deaf"})), "token_revoked", NO_RIGHT).await;
    let person = here.person("viewer").await;
    narrowed(both, &of(&person), here.as_owner("DELETE", &person.path()).send(), "token_revoked", NOBODY).await;
    let person = here.person("viewer").await;
    let revoke = here.as_owner("POST", &format!("{}/sessions/revoke", person.path())).send();
    narrowed(both, &of(&person), revoke, "token_revoked", NOBODY).await;
    let person = here.person("hears").await;
    let patch = here.as_owner("PATCH", "/api/v1/roles/hears").json(&json!({"permissions": ["audit:read"]})).send();
    narrowed(both, &of(&person), patch, "token_revoked", NO_RIGHT).await;
}

#[tokio::test]
async fn a_session_that_ends_takes_its_own_streams_alone() {
    let (here, there) = tenant().await;
    let both = (&here, &there);
    let user = here.user("viewer").await;
    let lasting = user.login().await;
    let mut other = asked(&there, "/events", &Proof::Bearer(lasting.access.clone())).stream().await;
    let gone = user.login().await;
    let logout = here.call("POST", "/api/v1/auth/logout").bearer(&gone.access).send();
    narrowed(both, &Proof::Bearer(gone.access.clone()), logout, "token_revoked", NOBODY).await;
    let cookie = user.browser().await;
    let own = format!("http://{}", here.host);
    let logout = here.call("POST", "/api/v1/auth/logout").header("Cookie", &cookie).header("Origin", &own).send();
    narrowed(both, &Proof::Cookie(cookie.clone()), logout, "token_revoked", NOBODY).await;
    let gone = user.login().await;
    let end = format!("/api/v1/auth/sessions/{}", gone.session);
    let end = here.call("DELETE", &end).bearer(&lasting.access).send();
    narrowed(both, &Proof::Bearer(gone.access), end, "token_revoked", NOBODY).await;
    here.publish("end", json!("end")).await;
    hears(&mut other).await;
    let all = here.as_owner("POST", "/api/v1/auth/revoke-all").send();
    narrowed(both, &Proof::Bearer(lasting.access), all, "token_revoked", NOBODY).await;
}

#[tokio::test]
async fn a_session_that_makes_room_for_a_newer_one_takes_its_streams() {
    let (here, there) = tenant().await;
    let user = here.user("viewer").await;
    let oldest = user.login().await;
    let newer = "INSERT INTO sessions (tenant_id, id, user_id, cookie_digest, address, user_agent, created_at, last_used_at, expires_at) SELECT ?1, s.id || '-' || j.value, s.user_id, NULL, '', '', s.created_at + j.value, s.last_used_at, s.expires_at FROM sessions s JOIN json_each(?3) j WHERE s.tenant_id = ?1 AND s.id = ?2";
    let places = serde_json::to_string(&(1..50).collect::<Vec<_>>()).unwrap();
    here.on_shard(newer, &[oldest.session.as_str(), places.as_str()]).await;
    let right = json!({"email": user.email, "password": user.password});
    let login = here.call("POST", "/api/v1/auth/login").json(&right).send();
    narrowed((&here, &there), &Proof::Bearer(oldest.access), login, "token_revoked", NOBODY).await;
}

#[tokio::test]
async fn another_password_ends_what_the_one_before_opened() {
    let (here, there) = tenant().await;
    let user = here.user("viewer").await;
    let (tokens, other) = (user.login().await, user.login().await);
    let body = json!({"current_password": user.password, "new_password": "another battery staple"});
    let change = here.call("POST", "/api/v1/auth/password").bearer(&other.access).json(&body).send();
    narrowed((&here, &there), &Proof::Bearer(tokens.access), change, "token_revoked", NOBODY).await;
}

#[tokio::test]
async fn an_operator_who_may_enter_no_more_hears_no_more() {
    let (here, there) = tenant().await;
    let both = (&here, &there);
    let user = here.user("viewer").await;
    here.role("visits", &["events:read"]).await;
    for loss in ["grant", "role", "disabled", "password", "logout", "removed"] {
        for impersonates in [false, true] {
            let operator = here.world.operator("support").await;
            operator.grant(&here, if loss == "role" { "visits" } else { "owner" }).await;
            let token = match impersonates {
                true => operator.impersonate(&here.id, &user.id).await.expect(200).data()["token"].clone(),
                false => json!(operator.entered(&here).await),
            };
            let proof = Proof::Bearer(token.as_str().unwrap().to_owned());
            let narrow = async {
                match loss {
                    "grant" => operator.admin("DELETE", &format!("/grants/{}", here.id)).send().await,
                    "role" => {
                        let call = here.as_owner("PATCH", "/api/v1/roles/visits");
                        call.json(&json!({"permissions": ["audit:read"]})).send().await
                    }
                    "disabled" => operator.admin("PATCH", "").json(&json!({"status": "disabled"})).send().await,
                    "password" => {
                        operator.admin("PATCH", "").json(&json!({"password": "quite another one"})).send().await
                    }
                    "logout" => operator.call("POST", "/api/v1/operators/logout").send().await,
                    _ => operator.admin("DELETE", "").send().await,
                }
            };
            let refused = if loss == "role" { NO_RIGHT } else { NOBODY };
            narrowed(both, &proof, narrow, "token_revoked", refused).await;
            if loss == "role" {
                let call = here.as_owner("PATCH", "/api/v1/roles/visits");
                call.json(&json!({"permissions": ["events:read"]})).send().await.expect(200);
            }
        }
    }
}

#[tokio::test]
async fn what_somebody_of_the_platform_minted_ends_with_their_rights() {
    let (here, there) = tenant().await;
    let mint = async |credential: &str, selects: bool| {
        let path = "/api/v1/subscriber-tokens";
        let call = match selects {
            true => here.world.call("POST", crate::world::ROOT, path).header("X-Tenant-ID", &here.id),
            false => here.call("POST", path),
        };
        let minted = call.bearer(credential).json(&json!({"topics": ["orders"]})).send().await.expect(201).data();
        format!("Bearer {}", minted["token"].as_str().unwrap())
    };
    let operator = here.world.operator("admin").await;
    let by_operator = mint(&operator.entered(&here).await, false).await;
    let body = json!({"name": "a test", "permissions": ["tenants:enter"]});
    let key = here.world.platform("POST", "/api/v1/platform-keys").json(&body).send().await.expect(201).data();
    let by_key = mint(key["key"].as_str().unwrap(), true).await;
    let open = async |token: &str| there.events(&["orders"]).header("Authorization", token).live().await;
    let (mut first, mut second) = (open(&by_operator).await, open(&by_key).await);
    operator.patch(json!({"status": "disabled"})).await;
    assert_eq!(first.closed().await, "token_revoked");
    let path = format!("/api/v1/platform-keys/{}", key["id"].as_str().unwrap());
    let anywhere = json!({"ip_allowlist": ["0.0.0.0/0", "::/0"]});
    here.world.platform("PATCH", &path).json(&anywhere).send().await.expect(200);
    assert_eq!(second.closed().await, "token_revoked", "another list of addresses");
    let by_key = mint(key["key"].as_str().unwrap(), true).await;
    let mut second = open(&by_key).await;
    here.world.platform("DELETE", &path).send().await.expect(200);
    assert_eq!(second.closed().await, "token_revoked");
    for token in [by_operator, by_key] {
        let again = there.events(&["orders"]).header("Authorization", &token);
        again.refused().await.expect_problem(401, "invalid_token");
    }
}

#[tokio::test]
async fn a_list_of_addresses_holds_for_open_streams_of_those_who_act() {
    let (here, there) = tenant().await;
    let (_, proof) = key(&here, &["events:read"]).await;
    let mut public = there.subscribe(&["end"]).await;
    let mut holder = there.events(&["orders", "end"]).token(there.token(&["orders"])).live().await;
    let list = here.admin("PATCH", "").json(&json!({"ip_allowlist": ["192.0.2.0/24"]})).send();
    narrowed((&here, &there), &proof, list, "address_not_allowed", (403, "address_not_allowed")).await;
    asked(&there, "/events", &proof).address("192.0.2.7").stream().await;
    here.publish("end", json!("end")).await;
    assert_eq!(public.event().await.body["data"], "end", "the list is not for visitors");
    assert_eq!(holder.next_data(2).await, [json!("too late"), json!("end")], "nor for those who were given a token");
}

#[tokio::test]
async fn a_ticket_carries_the_rights_of_whoever_asked_for_it() {
    let (here, there) = tenant().await;
    let ticket =
        async |call: RequestBuilder| call.send().await.expect(201).data()["ticket"].as_str().unwrap().to_owned();
    let user = here.user("viewer").await.login().await;
    let ada = ticket(there.call("PUT", "/events").bearer(&user.access)).await;
    let mut stream = there.events(&["orders", "records/leads", "end"]).ticket(&ada).stream().await;
    tell(&here).await;
    assert_eq!(hears(&mut stream).await, (true, true));
    here.call("POST", "/api/v1/auth/logout").bearer(&user.access).send().await.expect(204);
    assert_eq!(ended(&mut stream).await.0, "token_revoked");
    there.events(&["orders"]).ticket(&ada).refused().await.expect_problem(401, "invalid_token");

    // A key that is bound to addresses gives tickets that are.
    let home = stranger();
    let body = json!({"name": "bound", "scopes": ["events:read"], "ip_allowlist": [home]});
    let bound = here.as_owner("POST", "/api/v1/api-keys").json(&body).send().await.expect(201).data();
    let bound = bound["key"].as_str().unwrap();
    let call = there.call("PUT", "/events").bearer(bound);
    let given = ticket(call.clone().address(&home)).await;
    there.events(&["orders"]).ticket(&given).address(&stranger()).refused().await.expect_problem(401, "invalid_token");
    there.events(&["orders"]).ticket(&given).address(&home).live().await;
    call.address(&stranger()).send().await.expect_problem(401, "invalid_token");
}

#[tokio::test]
async fn who_subscribes_is_shown_to_who_may_hear_events() {
    let (here, there) = tenant().await;
    here.set_mercure(json!({"subscriptions": true})).await;
    let path = "/.well-known/mercure/subscriptions";
    let listed = |proof: &Proof| {
        let call = there.call("GET", path);
        match proof {
            Proof::Bearer(text) => call.bearer(text),
            Proof::Cookie(text) => call.header("Cookie", text),
        }
    };
    let (_, events) = key(&here, &["events:read"]).await;
    let (_, records) = key(&here, &["records:read"]).await;
    let _stream = there.listen(&["orders"]).await;
    let shown = listed(&events).send().await.expect(200).json();
    assert_eq!(shown["subscriptions"][0]["match"], "orders");
    listed(&records).send().await.expect_problem(403, "insufficient_scope");

    // Who listens to records names their collections.
    let _leads = there.listen(&["records/leads"]).await;
    let matches = async |proof: &Proof| {
        let shown = listed(proof).send().await.expect(200).json();
        let all = shown["subscriptions"].as_array().unwrap();
        let mut all: Vec<_> = all.iter().map(|one| one["match"].as_str().unwrap().to_owned()).collect();
        all.sort();
        all
    };
    let (_, both) = key(&here, &["events:read", "records:read"]).await;
    assert_eq!((matches(&events).await, matches(&both).await.len()), (vec!["orders".to_owned()], 2));
    listed(&Proof::Cookie(here.user("viewer").await.browser().await)).send().await.expect(200);
    there.call("GET", path).send().await.expect_problem(401, "unauthorized");
}
