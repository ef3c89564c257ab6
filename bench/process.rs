//! A server's processes: started as a group of their own, measured as one, ended as one.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use std::{fs, io};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};

use crate::Result;

/// How long a server may take to say that it is ready.
const READY_LIMIT: Duration = Duration::from_secs(60);

/// A running server. Dropping it ends the whole group; so does the end of its
/// standard input, should the benchmark itself be killed.
pub struct Group {
    leader: Child,
    pid: Pid,
    _lifeline: Option<ChildStdin>,
}

impl Group {
    /// Starts `command`, its errors going to `log`.
    pub fn start(mut command: Command, log: &Path) -> Result<Self> {
        let mut leader = command
            .process_group(0)
            .kill_on_drop(true)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(log)?)
            .spawn()
            .map_err(|error| format!("cannot start {:?}: {error}", command.as_std().get_program()))?;
        let pid = leader.id().ok_or("a server ended at once")?;
        Ok(Self { pid: Pid::from_raw(i32::try_from(pid)?), _lifeline: leader.stdin.take(), leader })
    }

    /// The first line that the server prints; what follows is thrown away.
    pub async fn first_line(&mut self, log: &Path) -> Result<String> {
        let out = self.leader.stdout.take().ok_or("the first line was read already")?;
        let mut lines = BufReader::new(out).lines();
        let line = tokio::time::timeout(READY_LIMIT, lines.next_line())
            .await
            .map_err(|_| format!("a server was not ready within {READY_LIMIT:?}: {}", last_words(log)))??
            .ok_or_else(|| format!("a server ended while it started: {}", last_words(log)))?;
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(line)
    }

    /// Whether the leader still runs.
    pub fn runs(&mut self) -> bool {
        matches!(self.leader.try_wait(), Ok(None))
    }

    /// Resident memory of all processes of the group, in bytes; a page that
    /// several of them share counts once (the kernel's PSS).
    pub fn resident(&self) -> Result<u64> {
        let mut sum = 0;
        for entry in fs::read_dir("/proc")?.flatten() {
            let path = entry.path();
            if group_of(&path) == Some(self.pid.as_raw()) {
                sum += proportional(&path).unwrap_or(0);
            }
        }
        match sum {
            0 => Err("the server's processes are gone".into()),
            sum => Ok(sum),
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Nothing of a server under test is worth an orderly end; `ESRCH` means it is gone already.
        let _ = killpg(self.pid, Signal::SIGKILL);
    }
}

/// The process group in `/proc/PID/stat`: the third field after the command's closing parenthesis.
fn group_of(process: &Path) -> Option<i32> {
    let stat = fs::read_to_string(process.join("stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(2)?.parse().ok()
}

fn proportional(process: &Path) -> io::Result<u64> {
    let rollup = fs::read_to_string(process.join("smaps_rollup"))?;
    let kilobytes = rollup
        .lines()
        .find_map(|line| line.strip_prefix("Pss:")?.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    Ok(kilobytes.unwrap_or(0) * 1024)
}

/// The end of a server's log, for an error message.
pub fn last_words(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().rev().take(12).collect();
    match lines.is_empty() {
        true => "it said nothing".to_owned(),
        false => lines.into_iter().rev().collect::<Vec<_>>().join("\n"),
    }
}
