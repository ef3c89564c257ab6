//! What a tenant notices of its neighbours: it is asked at an even pace over one connection, first in quiet and then
//! while something goes on at another tenant.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::Result;
use crate::tally::histogram;
use crate::wire::Caller;

/// The pause between two requests.
const PAUSE: Duration = Duration::from_millis(5);

/// How long requests take, in microseconds, while `goes_on` says so. Each is made of its number.
pub async fn times(
    address: SocketAddr,
    request: impl Fn(usize) -> Vec<u8>,
    goes_on: impl Fn() -> bool,
) -> Result<Histogram<u64>> {
    let (mut caller, mut times, mut call) = (Caller::connect(address).await?, histogram()?, 0);
    while goes_on() {
        call += 1;
        let request = request(call);
        let sent = Instant::now();
        caller.call(&request).await?.succeeded()?;
        times.saturating_record(u64::try_from(sent.elapsed().as_micros())?);
        tokio::time::sleep(PAUSE).await;
    }
    Ok(times)
}

/// The same for a stretch of time.
pub async fn times_for(
    address: SocketAddr,
    request: impl Fn(usize) -> Vec<u8>,
    length: Duration,
) -> Result<Histogram<u64>> {
    let begun = Instant::now();
    times(address, request, || begun.elapsed() < length).await
}

/// The ratio of the p99, then p50 and p99 of both, in microseconds.
pub fn cells(quiet: &Histogram<u64>, meanwhile: &Histogram<u64>) -> Vec<String> {
    let quantiles = [quiet, meanwhile].map(|times| [times.value_at_quantile(0.5), times.value_at_quantile(0.99)]);
    let ratio = format!("{:.2}", quantiles[1][1] as f64 / quantiles[0][1].max(1) as f64);
    std::iter::once(ratio).chain(quantiles.as_flattened().iter().map(u64::to_string)).collect()
}
