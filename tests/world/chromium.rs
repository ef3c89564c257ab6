//! Chromium without a window, told what to do by the DevTools protocol over a pipe; it ends when the pipe does.

use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::within;

/// By what names it is installed.
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// Hosts under `localhost` are all that it can reach.
const FLAGS: [&str; 8] = [
    "--headless",
    "--no-sandbox",
    "--no-first-run",
    "--no-proxy-server",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--remote-debugging-pipe",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE *.localhost",
];

/// A browser with a profile of its own.
pub struct Chromium {
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    asked: u64,
    _child: Child,
    _profile: TempDir,
}

/// A page that stands open in it.
#[derive(Clone)]
pub struct Page {
    session: String,
}

impl Chromium {
    pub async fn start() -> Chromium {
        let profile = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let mut child = Command::new("sh")
            .arg("-c")
            // It reads from the descriptor 3 and writes to 4.
            .arg("exec \"$0\" \"$@\" 3<&0 4>&1 </dev/null >/dev/null")
            .arg(installed())
            .args(FLAGS)
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Chromium { input, output, asked: 0, _child: child, _profile: profile }
    }

    /// Opens a page; its scripts may not have run yet.
    pub async fn open(&mut self, url: &str) -> Page {
        let target = self.ask(None, "Target.createTarget", json!({"url": "about:blank"})).await;
        let target = json!({"targetId": target["targetId"], "flatten": true});
        let attached = self.ask(None, "Target.attachToTarget", target).await;
        let page = Page { session: attached["sessionId"].as_str().unwrap().to_owned() };
        self.go(&page, url).await;
        page
    }

    /// Leads a page to an address, or to its own again.
    pub async fn go(&mut self, page: &Page, url: &str) {
        let gone = self.ask(Some(page), "Page.navigate", json!({"url": url})).await;
        assert_eq!(gone["errorText"], Value::Null, "{url}");
        self.until(page, "document.readyState === 'complete'").await;
    }

    /// What a script gives, once it is settled.
    pub async fn run(&mut self, page: &Page, script: &str) -> Value {
        let asked = json!({"expression": script, "awaitPromise": true, "returnByValue": true});
        let ran = self.ask(Some(page), "Runtime.evaluate", asked).await;
        assert_eq!(ran["exceptionDetails"], Value::Null, "{script}");
        ran["result"]["value"].clone()
    }

    /// Waits until a script gives something true.
    pub async fn until(&mut self, page: &Page, script: &str) {
        let wait =
            format!("new Promise((is) => {{ const look = () => ({script}) ? is() : setTimeout(look, 20); look(); }})");
        self.run(page, &wait).await;
    }

    /// Gives it a cookie as a server's `Set-Cookie` would; whether it took it.
    pub async fn set_cookie(&mut self, page: &Page, cookie: Value) -> bool {
        self.ask(Some(page), "Network.setCookie", cookie).await["success"] == true
    }

    async fn ask(&mut self, page: Option<&Page>, method: &str, params: Value) -> Value {
        self.asked += 1;
        let mut message = json!({"id": self.asked, "method": method, "params": params});
        if let Some(page) = page {
            message["sessionId"] = page.session.clone().into();
        }
        let what = format!("Chromium to answer {message}");
        within(&what, async {
            self.input.write_all(format!("{message}\0").as_bytes()).await.unwrap();
            loop {
                let mut told = Vec::new();
                let length = self.output.read_until(0, &mut told).await.unwrap();
                assert_ne!(length, 0, "Chromium ended");
                let told: Value = serde_json::from_slice(&told[..length - 1]).unwrap();
                if told["id"] == self.asked {
                    assert_eq!(told["error"], Value::Null, "{method}");
                    return told["result"].clone();
                }
            }
        })
        .await
    }
}

/// Where it is: `CHROMIUM` names it, or the path has it.
fn installed() -> String {
    let path = std::env::var("PATH").unwrap_or_default();
    let is_there = |name: &&str| path.split(':').any(|folder| Path::new(folder).join(name).exists());
    let found = || NAMES.into_iter().find(is_there).map(str::to_owned);
    let named = std::env::var("CHROMIUM").ok();
    named.or_else(found).expect("no Chromium: apt-get install chromium, or say where it is with CHROMIUM=")
}
