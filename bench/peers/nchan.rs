//! nginx with nchan: Debian's packages, unprivileged, from a temporary prefix on a free port.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{env, fs};

use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::Command;

use super::{Server, root};
use crate::Result;
use crate::limits;
use crate::process::{Group, last_words};

const MODULE: &str = "/usr/lib/nginx/modules/ngx_nchan_module.so";
const READY_LIMIT: Duration = Duration::from_secs(10);

pub fn absent() -> Option<String> {
    match nginx().is_some() && Path::new(MODULE).exists() {
        true => None,
        false => Some(
            "nginx with nchan is not installed; `apt install nginx-light libnginx-mod-nchan` brings both.".to_owned(),
        ),
    }
}

/// nginx's binary; `/usr/sbin` is not in everybody's path.
fn nginx() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin")])
        .map(|folder| folder.join("nginx"))
        .find(|binary| binary.exists())
}

pub async fn start() -> Result<Server> {
    let state = TempDir::new()?;
    let prefix = state.path();
    let port = free_port()?;
    let configuration = fs::read_to_string(root().join("bench/peers/nchan.conf.in"))?
        .replace("@MODULE@", MODULE)
        .replace("@USER@", if fs::metadata("/proc/self")?.uid() == 0 { "user root;" } else { "" })
        .replace("@FILES@", &limits::open_files()?.min(32_768).to_string())
        .replace("@PORT@", &port.to_string());
    fs::write(prefix.join("nginx.conf"), configuration)?;

    // nginx does not watch its standard input, so a shell does: it ends nginx when the benchmark is gone.
    let mut command = Command::new("sh");
    command
        .args(["-c", r#""$0" -p "$1" -c nginx.conf -e error.log & cat; kill $!"#])
        .arg(nginx().ok_or("nginx is not installed")?)
        .arg(prefix);
    let log = prefix.join("server.log");
    let mut group = Group::start(command, &log)?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let begun = Instant::now();
    while TcpStream::connect(address).await.is_err() {
        if begun.elapsed() > READY_LIMIT || !group.runs() {
            let said = [last_words(&log), last_words(&prefix.join("error.log"))].join("\n");
            return Err(format!("nginx did not start: {said}").into());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(Server {
        address,
        host: "bench.localhost".to_owned(),
        subscribe: "/events?topic=post".to_owned(),
        publish: "/webhook?topic=post".to_owned(),
        tenant: "bench".to_owned(),
        topic: "post".to_owned(),
        webhook_secret: None,
        control: None,
        group,
        _state: state,
    })
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
