//! Idle subscribers: how fast streams open and what one costs in memory.

use std::time::Duration;

use crate::Result;
use crate::audience::Audience;
use crate::options::Options;
use crate::peers::Server;
use crate::publisher::{Pace, publish};
use crate::stage::Stage;
use crate::table::{Table, whole};

/// Streams and events that warm a server up before its memory counts.
const WARM_STREAMS: usize = 20;
const WARM_EVENTS: u32 = 100;
/// Memory is read once the server has been quiet for so long.
const CALM: Duration = Duration::from_secs(2);

pub async fn measure(options: &Options, stage: &mut Stage) -> Table {
    let mut table =
        Table::new("Idle subscribers", &["server", "subscribers", "streams opened/s", "memory per subscriber, KB"]);
    for &size in &options.sizes {
        stage.rows(&mut table, &[whole(size as f64)], async |server| row(server, size).await).await;
    }
    table
}

async fn row(server: &Server, size: usize) -> Result<Vec<String>> {
    let mut warm = Audience::gather(server, WARM_STREAMS).await?;
    let round = warm.expect(WARM_EVENTS);
    publish(server, &warm, round, Pace::Burst, 4).await?;
    warm.settle(CALM, CALM).await;
    tokio::time::sleep(CALM).await;

    let before = server.group.resident()?;
    let audience = Audience::gather(server, size).await?;
    tokio::time::sleep(CALM).await;
    let grown = server.group.resident()? as f64 - before as f64;

    Ok(vec![whole(size as f64 / audience.opening.as_secs_f64()), format!("{:.1}", grown / 1024.0 / size as f64)])
}
