//! Brings each server on in turn: a fresh one for every row, so that no row pays for another.

use crate::Result;
use crate::peers::{Peer, Server};
use crate::table::Table;

/// The servers of this run.
pub struct Stage {
    peers: Vec<Peer>,
    /// Whether a row could not be measured.
    pub failed: bool,
}

impl Stage {
    pub fn new(peers: &[Peer]) -> Self {
        Self { peers: peers.to_vec(), failed: false }
    }

    /// Adds one row per server to `table`: its name, `settings`, and what `measure` returns.
    pub async fn rows(
        &mut self,
        table: &mut Table,
        settings: &[String],
        measure: impl AsyncFn(&Server) -> Result<Vec<String>>,
    ) {
        for peer in &self.peers {
            let name: Vec<_> = std::iter::once(peer.to_string()).chain(settings.iter().cloned()).collect();
            if let Some(reason) = peer.absent() {
                table.absent(&name);
                table.note(format!("{peer}: {reason}"));
                continue;
            }
            let cells = async { measure(&peer.start().await?).await }.await;
            self.failed |= !table.measured(&name, cells);
        }
    }
}
