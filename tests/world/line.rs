//! A line between a client and the Worker: it can be cut and mended, and tells when something came down.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{Tenant, World, within};

/// How the line stands.
#[derive(Clone, Copy, Default)]
struct State {
    cuts: usize,
    is_cut: bool,
    pieces: usize,
}

/// A port of this machine that leads to the Worker. Dropping it ends what it carries.
pub struct Line {
    port: u16,
    state: watch::Sender<State>,
    accepting: JoinHandle<()>,
}

impl Line {
    /// A line to a world's Worker.
    pub async fn to(world: &World) -> Line {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (state, _) = watch::channel(State::default());
        let worker = world.url().trim_start_matches("http://").to_owned();
        let carried = state.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, worker.clone(), carried.clone()));
            }
        });
        Line { port, state, accepting }
    }

    /// A tenant's origin at this end of the line.
    pub fn origin(&self, tenant: &Tenant) -> String {
        format!("http://{}:{}", tenant.host, self.port)
    }

    /// Breaks every connection; until the line is mended, new ones wait.
    pub fn cut(&self) {
        self.state.send_modify(|state| (state.cuts, state.is_cut) = (state.cuts + 1, true));
    }

    pub fn mend(&self) {
        self.state.send_modify(|state| state.is_cut = false);
    }

    /// Waits until so many further pieces came down.
    pub async fn pieces(&self, n: usize) {
        let from = self.state.borrow().pieces;
        let mut state = self.state.subscribe();
        within("something to come down a line", state.wait_for(|state| state.pieces >= from + n)).await.unwrap();
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

async fn carry(client: TcpStream, worker: String, state: watch::Sender<State>) {
    let mut known = state.subscribe();
    let Ok(cuts) = known.wait_for(|state| !state.is_cut).await.map(|state| state.cuts) else { return };
    let Ok(worker) = TcpStream::connect(worker).await else { return };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_worker, mut to_worker) = worker.into_split();
    let down = async {
        let mut piece = vec![0; 65_536];
        loop {
            let length = from_worker.read(&mut piece).await?;
            if length == 0 {
                return io::Result::Ok(());
            }
            to_client.write_all(&piece[..length]).await?;
            state.send_modify(|state| state.pieces += 1);
        }
    };
    tokio::select! {
        _ = tokio::io::copy(&mut from_client, &mut to_worker) => {}
        _ = down => {}
        _ = known.wait_for(|state| state.cuts > cuts) => {}
    }
}
