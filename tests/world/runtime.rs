//! The process behind a world: Miniflare in node over workerd, started by `serve.mjs`.
//!
//! It runs in a process group of its own, so that it can be killed as one, and reads a pipe that
//! we hold, so that it ends when this binary does, however that happens.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, RwLock, mpsc};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::{Map, Value, json};

/// The host under which the platform answers and tenants have their slugs.
pub const ROOT: &str = "localhost";
/// The operator's key in every test runtime.
pub const PLATFORM_KEY: &str = "car_pk_test_4f0d1c86b2e94a53a7c2c9d05e7b1f38";
/// Base64 of 32 bytes.
const KEK: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
/// A start includes the migrations of three databases.
const START: Duration = Duration::from_secs(120);

/// One runtime: its state on disk, and its process while it lives.
pub struct Runtime {
    state: PathBuf,
    isolates: usize,
    /// Whether shields can be had.
    shields: bool,
    urls: RwLock<Urls>,
    process: Mutex<Option<Process>>,
}

#[derive(Clone, Default)]
struct Urls {
    /// Isolate by isolate.
    workers: Vec<String>,
    control: String,
}

struct Process {
    child: Child,
    _stdin: ChildStdin,
}

impl Runtime {
    /// Starts over fresh state, with so many isolates of the Worker, and these vars beside the usual ones.
    pub fn start(isolates: usize, vars: &[(&'static str, String)]) -> Runtime {
        Self::spawned(isolates, true, vars)
    }

    /// Starts one isolate without a namespace of shields.
    pub fn start_without_shields() -> Runtime {
        Self::spawned(1, false, &[])
    }

    fn spawned(isolates: usize, shields: bool, vars: &[(&'static str, String)]) -> Runtime {
        let (urls, process) = (RwLock::default(), Mutex::new(None));
        let runtime = Runtime { state: fresh_state(), isolates, shields, urls, process };
        runtime.spawn(vars);
        runtime
    }

    /// Ends the process, if it still lives, and starts another over the same state.
    pub fn restart(&self, vars: &[(&'static str, String)]) {
        self.kill();
        self.spawn(vars);
    }

    /// `kill -9` on the whole group; returns when the group's leader is gone.
    pub fn kill(&self) {
        if let Some(mut process) = self.process.lock().unwrap().take() {
            let group = Pid::from_raw(i32::try_from(process.child.id()).unwrap());
            let _ = killpg(group, Signal::SIGKILL);
            let _ = process.child.wait();
        }
    }

    /// Where an isolate of the Worker listens, from 0.
    pub fn url(&self, isolate: usize) -> String {
        self.urls.read().unwrap().workers[isolate].clone()
    }

    /// Where the runtime itself is told what to do.
    pub fn control(&self) -> String {
        self.urls.read().unwrap().control.clone()
    }

    fn spawn(&self, vars: &[(&'static str, String)]) {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let node = root.join("node_modules/node/bin/node");
        assert!(node.exists(), "no node in node_modules: run `make setup` first");
        assert!(root.join("build/index.js").exists(), "no Worker in build/: run `make build` first");
        let errors = self.state.join("stderr.log");
        let mut child = Command::new(node)
            .arg(root.join("tests/runtime/serve.mjs"))
            .arg(self.settings(vars).to_string())
            .current_dir(root)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::options().create(true).append(true).open(&errors).unwrap())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        *self.process.lock().unwrap() = Some(Process { child, _stdin: stdin });
        let urls = ready(lines).unwrap_or_else(|| {
            self.kill();
            let errors = fs::read_to_string(&errors).unwrap_or_default();
            panic!("the test runtime did not start:\n{errors}");
        });
        *self.urls.write().unwrap() = urls;
    }

    fn settings(&self, vars: &[(&'static str, String)]) -> Value {
        // A var named like a secret stands in its place; an empty one leaves it out.
        let mut secrets = json!({"PLATFORM_KEY": PLATFORM_KEY, "KEK_v1": KEK});
        let mut all = Map::new();
        all.insert("ROOT_DOMAIN".into(), ROOT.into());
        all.insert("KEEP_ALIVE_SECONDS".into(), "1".into());
        all.insert("MAIL_LOG".into(), "true".into());
        all.insert("ALLOW_LOOPBACK".into(), "true".into());
        all.insert("DOMAIN_PROOF".into(), "assumed".into());
        all.insert("PASSWORD_WORK_LOG".into(), "true".into());
        all.insert("CALLS_LOG".into(), "true".into());
        for (name, value) in vars {
            match secrets.get_mut(*name) {
                Some(secret) => *secret = value.clone().into(),
                None => _ = all.insert((*name).into(), value.clone().into()),
            }
        }
        json!({
            "build": "build",
            "state": self.state,
            "isolates": self.isolates,
            "shields": self.shields,
            "canAbort": true,
            "vars": all,
            "secrets": secrets,
        })
    }
}

/// The directories of this name, wherever they lie.
fn directories(base: &Path, name: &str) -> Vec<PathBuf> {
    let inner =
        fs::read_dir(base).into_iter().flatten().flatten().map(|entry| entry.path()).filter(|path| path.is_dir());
    inner.flat_map(|path| if path.ends_with(name) { vec![path] } else { directories(&path, name) }).collect()
}

impl Runtime {
    /// Deletes what Durable Objects have stored.
    pub fn lose_hubs(&self) {
        let stored = directories(&self.state, "do");
        assert!(!stored.is_empty(), "Durable Objects lie elsewhere");
        stored.iter().for_each(|path| fs::remove_dir_all(path).unwrap());
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        self.kill();
        let _ = fs::remove_dir_all(&self.state);
    }
}

/// The line that says where to connect; the rest of the output is drained and dropped.
fn ready(lines: impl Iterator<Item = std::io::Result<String>> + Send + 'static) -> Option<Urls> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            if let Some(urls) = parse_ready(&line) {
                let _ = sender.send(urls);
            }
        }
    });
    receiver.recv_timeout(START).ok()
}

fn parse_ready(line: &str) -> Option<Urls> {
    let line: Value = serde_json::from_str(line).ok()?;
    let url = |value: &Value| Some(value.as_str()?.trim_end_matches('/').to_owned());
    let workers = line.get("urls")?.as_array()?.iter().map(url).collect::<Option<_>>()?;
    Some(Urls { workers, control: url(line.get("control")?)? })
}

/// A directory of this process's own. Those of processes that are gone are swept away first,
/// for a shared runtime lives in a static and is never dropped.
fn fresh_state() -> PathBuf {
    static MADE: AtomicUsize = AtomicUsize::new(0);
    let base = Path::new(env!("CARGO_TARGET_TMPDIR"));
    if MADE.load(Ordering::Relaxed) == 0 {
        sweep(base);
    }
    let count = MADE.fetch_add(1, Ordering::Relaxed);
    let state = base.join(format!("world-{}-{count}", std::process::id()));
    fs::create_dir_all(&state).unwrap();
    state
}

fn sweep(base: &Path) {
    for entry in fs::read_dir(base).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name.strip_prefix("world-").and_then(|rest| rest.split('-').next());
        if owner.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
