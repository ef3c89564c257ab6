//! How streams are carried, bridged or direct, and how they change from one to the other while events come.
//!
//! What clients see of direct streams is what the other modules of streams tell: they run in both modes (`LIVE_MODE`).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::world::{Stream, Tenant, World, eventually, stranger, within};

/// How many streams the tenant's hub carries in a way, on all wires.
async fn carried(tenant: &Tenant, way: &str) -> u64 {
    let health = tenant.admin("GET", "/health").send().await.expect(200).data();
    let wires = health["checks"]["hub"]["carried"][way].as_object().unwrap_or_else(|| panic!("{health}")).clone();
    wires.values().map(|count| count.as_u64().unwrap()).sum()
}

async fn all_are(tenant: &Tenant, way: &str, count: u64) {
    eventually(&format!("{count} streams to be {way}"), async || (carried(tenant, way).await == count).then_some(()))
        .await;
}

/// Has the tenant's streams carried so from now on.
async fn carry(tenant: &Tenant, mode: &str) {
    carry_with(tenant, mode, json!({})).await;
}

/// The same with other settings.
async fn carry_with(tenant: &Tenant, mode: &str, mut settings: Value) {
    settings["live"] = json!({"mode": mode});
    tenant.patch(json!({"settings": settings})).await;
}

async fn tenant(world: &World, mode: &str) -> Tenant {
    world.tenant().plan("enterprise").live_mode(mode).create().await
}

/// A client that resumes by its last id whenever its stream ends, as browsers do.
struct Follower {
    tenant: Tenant,
    address: String,
    stream: Stream,
    /// How often it had to come back, and how often of these it was told when.
    returns: usize,
    told: usize,
}

impl Follower {
    async fn of(tenant: &Tenant) -> Self {
        let address = stranger();
        let stream = tenant.events(&["posts"]).address(&address).live().await;
        Self { tenant: tenant.clone(), address, stream, returns: 0, told: 0 }
    }

    /// Reads numbers, each of which must follow on the one before, to the end. Gives how many there were.
    async fn read(mut self) -> (Self, usize) {
        let mut next = 0;
        let mut told = None;
        loop {
            let Some(block) = self.stream.block().await else {
                self.told += usize::from(told.take().is_some_and(|millis| millis <= 2_000));
                self.come_back().await;
                continue;
            };
            told = block.retry;
            let Some(data) = block.data.as_deref().filter(|_| block.event.is_none()) else { continue };
            let event: Value = serde_json::from_str(data).unwrap();
            if event["data"] == END {
                return (self, next);
            }
            assert_eq!(event["data"], json!(next), "behind {} returns", self.returns);
            next += 1;
        }
    }

    async fn come_back(&mut self) {
        self.returns += 1;
        let cursor = self.stream.cursor.clone();
        self.stream = eventually("a stream to be resumed", async || {
            let stream = self.tenant.events(&["posts"]).after(&cursor).address(&self.address).open();
            // The runtime may be gone for a moment.
            tokio::spawn(stream).await.ok()?.ok()
        })
        .await;
    }
}

/// What is published last.
const END: &str = "end";

/// Publishes numbers one by one until it is told to stop, and then the end; each is sent until it is acknowledged. Gives how
/// many there were.
fn publish_until(tenant: &Tenant, stop: &Arc<AtomicBool>) -> JoinHandle<usize> {
    let (tenant, stop) = (tenant.clone(), Arc::clone(stop));
    let send = async move |id: usize, data: Value| {
        let webhook = tenant.webhook().channels(&["posts"]).data(data).standard(&format!("msg_{id}"));
        eventually("a webhook to be taken", async || {
            webhook.clone().call().attempt().await.filter(|answer| answer.status == 202).map(drop)
        })
        .await;
    };
    tokio::spawn(async move {
        let mut number = 0;
        while !stop.load(Ordering::SeqCst) {
            send(number, json!(number)).await;
            number += 1;
            // One network may ask a hundred times a second.
            tokio::time::sleep(Duration::from_millis(12)).await;
        }
        send(number, json!(END)).await;
        number
    })
}

#[tokio::test]
async fn streams_change_from_one_way_to_the_other_while_events_pour_in() {
    let world = World::shared().await;
    let tenant = tenant(&world, "bridged").await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut readers = Vec::new();
    for _ in 0..12 {
        readers.push(tokio::spawn(Follower::of(&tenant).await.read()));
    }
    let publisher = publish_until(&tenant, &stop);
    let modes = ["direct", "bridged", "direct", "bridged"];
    for mode in modes {
        carry(&tenant, mode).await;
        all_are(&tenant, mode, 12).await;
    }
    stop.store(true, Ordering::SeqCst);
    let published = publisher.await.unwrap();
    assert!(published > 100, "{published} events were no load");
    for reader in readers {
        let (reader, read) = within("a reader", reader).await.unwrap();
        assert_eq!(read, published);
        assert_eq!(
            (reader.returns, reader.told),
            (modes.len(), modes.len()),
            "it comes back as it is told to, once each time"
        );
    }
}

#[tokio::test]
async fn whatever_is_killed_during_a_change_no_event_is_lost_and_none_comes_twice() {
    let world = World::own().await;
    let tenant = tenant(&world, "bridged").await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut readers = Vec::new();
    for _ in 0..8 {
        readers.push(tokio::spawn(Follower::of(&tenant).await.read()));
    }
    let publisher = publish_until(&tenant, &stop);
    for (nth, mode) in ["direct", "bridged", "direct", "bridged", "direct"].iter().enumerate() {
        carry(&tenant, mode).await;
        match nth {
            0 | 1 => world.abort(&tenant).await,
            2 | 3 => {
                world.kill();
                world.restart(&[]).await;
            }
            _ => all_are(&tenant, "direct", 8).await,
        }
    }
    world.abort(&tenant).await;
    stop.store(true, Ordering::SeqCst);
    let published = publisher.await.unwrap();
    for reader in readers {
        assert_eq!(within("a reader", reader).await.unwrap().1, published);
    }
}

#[tokio::test]
async fn who_is_told_to_come_back_has_a_place_and_is_who_they_were() {
    let world = World::shared().await;
    let tenant = world.tenant().live_mode("bridged").limit("max_concurrent_subscriptions", 2).create().await;
    carry_with(&tenant, "bridged", json!({"mercure": {"subscriptions": true}})).await;
    let watch = tenant.access_token("subscribe", &[("urlpattern", "/.well-known/mercure/subscriptions{/*}?")]).sign();
    let all = "/.well-known/mercure/subscriptions/:type/:match/:subscriber";
    let mut watcher = tenant.mercure().query("match_urlpattern", all).bearer(&watch).stream().await;
    let own = watcher.update().await.json();
    let address = stranger();
    let mut stream = tenant.mercure().query("match", "posts").address(&address).stream().await;
    let begun = watcher.update().await.json();
    assert_eq!((&begun["active"], &begun["match"]), (&json!(true), &json!("posts")));
    carry_with(&tenant, "direct", json!({"mercure": {"subscriptions": true}})).await;
    // Both are told to come back, and a stranger finds no place meanwhile.
    while stream.block().await.is_some() {}
    let refused = tenant.events(&["posts"]).header("Accept", "*/*").address(&stranger()).refused().await;
    refused.expect_problem(429, "too_many_streams");
    let cursor = stream.cursor.clone();
    let mut stream =
        tenant.mercure().query("match", "posts").address(&address).header("Last-Event-ID", &cursor).stream().await;
    while watcher.block().await.is_some() {}
    let cursor = watcher.cursor.clone();
    let back = tenant.mercure().query("match_urlpattern", all).bearer(&watch).header("Last-Event-ID", &cursor);
    let mut watcher = back.stream().await;
    all_are(&tenant, "direct", 2).await;
    let shown = tenant.call("GET", "/.well-known/mercure/subscriptions").bearer(&watch).send().await.expect(200).json();
    let subscribers: Vec<_> = shown["subscriptions"].as_array().unwrap().iter().map(|one| &one["subscriber"]).collect();
    assert_eq!(subscribers.len(), 2, "{shown}");
    assert!(subscribers.contains(&&begun["subscriber"]) && subscribers.contains(&&own["subscriber"]), "{shown}");
    // The next that is told is that it leaves.
    tenant.publish("posts", json!("heard")).await;
    stream.update().await;
    drop(stream);
    let ended = watcher.update().await.json();
    assert_eq!((&ended["active"], &ended["subscriber"]), (&json!(false), &begun["subscriber"]));
}

#[tokio::test]
async fn behind_the_last_direct_stream_the_hub_sleeps_again() {
    let world = World::shared().await;
    let tenant = tenant(&world, "direct").await;
    let mut streams = Vec::new();
    for _ in 0..3 {
        streams.push(Follower::of(&tenant).await);
    }
    assert_eq!((carried(&tenant, "direct").await, carried(&tenant, "bridged").await), (3, 0));
    carry(&tenant, "auto").await;
    for follower in &mut streams {
        while follower.stream.block().await.is_some() {}
        follower.come_back().await;
    }
    all_are(&tenant, "bridged", 3).await;
    // The runtime hibernates an object only where nothing is under way in it.
    eventually("the hub's sleep", async || world.can_evict(&tenant).await.then_some(())).await;
    let last = tenant.publish("posts", json!("awake")).await;
    for follower in &mut streams {
        while follower.stream.must().await.id.as_ref() != Some(&last) {}
    }
}

#[tokio::test]
async fn a_busy_hub_carries_its_streams_directly_by_itself() {
    let world = World::shared().await;
    let tenant = tenant(&world, "auto").await;
    let mut streams = Vec::new();
    for _ in 0..150 {
        streams.push(Follower::of(&tenant).await);
    }
    assert_eq!(carried(&tenant, "direct").await, 0);
    let stop = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = streams.into_iter().map(|follower| tokio::spawn(follower.read())).collect();
    let publisher = publish_until(&tenant, &stop);
    eventually("streams to become direct", async || (carried(&tenant, "direct").await > 0).then_some(())).await;
    stop.store(true, Ordering::SeqCst);
    let published = publisher.await.unwrap();
    for reader in readers {
        assert_eq!(within("a reader", reader).await.unwrap().1, published);
    }
}

#[tokio::test]
async fn a_plan_without_direct_streams_has_none_and_says_so() {
    let world = World::shared().await;
    let tenant = world.tenant().limit("max_direct_streams", 0).create().await;
    let owner = tenant.as_owner("PATCH", "/api/v1/settings").json(&json!({"live": {"mode": "direct"}})).send().await;
    let refused = owner.expect_problem(422, "validation_failed");
    assert_eq!(refused.json()["errors"][0]["pointer"], "/live/mode", "{}", refused.body);
    carry(&tenant, "direct").await;
    let _stream = tenant.subscribe(&["posts"]).await;
    assert_eq!((carried(&tenant, "direct").await, carried(&tenant, "bridged").await), (0, 1));
    tenant.patch(json!({"rate_limits": {"max_direct_streams": 1}})).await;
    let _direct = tenant.subscribe(&["posts"]).await;
    let _bridged = tenant.subscribe(&["posts"]).await;
    assert!(carried(&tenant, "direct").await <= 1);
}

#[tokio::test]
async fn who_leaves_a_direct_stream_frees_its_place_within_a_keep_alive() {
    let world = World::shared().await;
    let tenant = world.tenant().live_mode("direct").limit("max_concurrent_subscriptions", 2).create().await;
    let stays = tenant.events(&["posts"]).address(&stranger()).live().await;
    drop(tenant.events(&["posts"]).address(&stranger()).live().await);
    eventually("a place", async || (carried(&tenant, "direct").await == 1).then_some(())).await;
    let came = tenant.events(&["posts"]).address(&stranger()).live().await;
    assert_eq!(carried(&tenant, "direct").await, 2);
    drop((stays, came));
    all_are(&tenant, "direct", 0).await;
}

/// A client that asks for a stream and never reads.
async fn stalled(world: &World, tenant: &Tenant) -> TcpStream {
    let worker = world.address_of_worker();
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    // As little as there can be between the Worker and a client.
    socket.set_recv_buffer_size(4 * 1024).unwrap();
    let mut line = socket.connect(worker.parse().unwrap()).await.unwrap();
    let (host, address) = (&tenant.host, stranger());
    let asked = format!("GET /events?topic=posts HTTP/1.1\r\nHost: {host}\r\nCF-Connecting-IP: {address}\r\n\r\n");
    line.write_all(asked.as_bytes()).await.unwrap();
    line
}

#[tokio::test]
async fn a_neighbour_notices_nothing_of_clients_that_do_not_read() {
    const STALLED: usize = 300;
    let world = World::own().await;
    let (slow, neighbour) = (tenant(&world, "direct").await, tenant(&world, "direct").await);
    let mut held = Vec::new();
    for _ in 0..STALLED {
        held.push(stalled(&world, &slow).await);
    }
    all_are(&slow, "direct", STALLED as u64).await;
    let mut quick = neighbour.events(&["posts"]).live().await;
    // Over 7 MB for each of them.
    for number in 0..36 {
        slow.publish("posts", json!("x".repeat(200_000))).await;
        let id = neighbour.publish("posts", json!(number)).await;
        assert_eq!(quick.event().await.id, id);
    }
    let mut newcomer = neighbour.events(&["posts"]).live().await;
    let id = neighbour.publish("posts", json!("still here")).await;
    assert_eq!((quick.event().await.id, newcomer.event().await.id), (id.clone(), id));
    drop(held);
    eventually("the places of the others", async || {
        let left = carried(&slow, "direct").await + carried(&slow, "bridged").await;
        (left == 0).then_some(())
    })
    .await;
}
