//! `GET /events/diagnose`: what stands between a browser and its stream.

use crate::world::{Stream, World};

async fn diagnose(headers: &[(&str, &str)]) -> Stream {
    let world = World::shared().await;
    let tenant = world.tenant().create().await;
    let mut call = tenant.call("GET", "/events/diagnose").header("Accept", "text/event-stream");
    for (name, value) in headers {
        call = call.header(name, value);
    }
    call.open().await.unwrap_or_else(|answer| panic!("{}: {}", answer.status, answer.body))
}

#[tokio::test]
async fn it_streams_at_intervals_that_show_buffering() {
    let mut stream = diagnose(&[]).await;
    assert!(stream.headers["cache-control"].to_str().unwrap().contains("no-transform"));
    assert_eq!(stream.headers["x-accel-buffering"], "no");
    let mut told = Vec::new();
    while told.len() < 3 {
        let block = stream.must().await;
        if block.data.is_some() {
            told.push(block.json());
        }
    }
    assert_ne!(told[1], told[2], "each tells its own place in the row");
}

#[tokio::test]
async fn it_tells_which_headers_arrived() {
    let mut stream = diagnose(&[("Last-Event-ID", "probe-17")]).await;
    let mut block = stream.must().await;
    while block.data.is_none() {
        block = stream.must().await;
    }
    assert!(block.data.unwrap().contains("probe-17"));
}
