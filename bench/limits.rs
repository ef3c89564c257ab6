//! Open files: a stream costs one here and one in the server, which inherits our limit.

use std::fs;
use std::process::{self, Command};

use crate::Result;

/// Connections of publishers, files of the processes themselves.
const SPARE: u64 = 500;

/// The soft limit of open files.
pub fn open_files() -> Result<u64> {
    Ok(limits()?.0)
}

/// Raises the soft limit as far as it may go, and complains if that is too few for `subscribers`.
pub fn allow(subscribers: usize) -> Result<()> {
    let needed = subscribers as u64 + SPARE;
    let (soft, hard) = limits()?;
    if soft < needed && needed <= hard {
        let raised = Command::new("prlimit")
            .args(["--pid", &process::id().to_string(), &format!("--nofile={hard}:{hard}")])
            .status();
        if raised.is_ok_and(|status| status.success()) {
            return Ok(());
        }
    }
    if soft < needed {
        return Err(format!(
            "{subscribers} subscribers need {needed} open files and the limit is {soft}; run `ulimit -n {needed}` first \
             or choose fewer with --subscribers."
        )
        .into());
    }
    Ok(())
}

/// The line `Max open files  SOFT  HARD  files` of the kernel's table.
fn limits() -> Result<(u64, u64)> {
    let table = fs::read_to_string("/proc/self/limits")?;
    let mut numbers = table
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))
        .ok_or("no limit of open files in /proc/self/limits")?
        .split_whitespace()
        .map(|number| number.parse().unwrap_or(u64::MAX));
    match (numbers.next(), numbers.next()) {
        (Some(soft), Some(hard)) => Ok((soft, hard)),
        _ => Err("an unreadable limit of open files in /proc/self/limits".into()),
    }
}
