//! OpenID providers (`tests/runtime/issuer.mjs`), and browsers that sign in with them.
//!
//! All issuers stand in one node process, in a process group of its own; it ends when the pipe that we hold does.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{OnceLock, mpsc};

use serde_json::{Value, json};

use super::{PATIENCE, Tenant, TestResponse, within};

/// Our client at every issuer, and its secret, which has what must be encoded.
pub const CLIENT: &str = "carillon";
pub const CLIENT_SECRET: &str = "s3cret of a client: +%&=";

struct Issuers {
    control: String,
    _child: Child,
    _stdin: ChildStdin,
}

fn issuers() -> &'static Issuers {
    static SHARED: OnceLock<Issuers> = OnceLock::new();
    SHARED.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut child = Command::new(root.join("node_modules/node/bin/node"))
            .arg(root.join("tests/runtime/issuer.mjs"))
            .current_dir(root)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || sender.send(BufReader::new(stdout).lines().next()));
        let line = receiver.recv_timeout(PATIENCE).unwrap().unwrap().unwrap();
        let line: Value = serde_json::from_str(&line).unwrap();
        Issuers { control: line["control"].as_str().unwrap().to_owned(), _child: child, _stdin: stdin }
    })
}

/// An issuer of one test, which a tenant has for a provider.
pub struct Issuer {
    pub url: String,
    http: reqwest::Client,
}

impl Issuer {
    /// An issuer that signs with RS256 and knows Ada, who is staff.
    pub async fn of(tenant: &Tenant) -> Issuer {
        Issuer::made(tenant, json!({})).await
    }

    pub async fn made(tenant: &Tenant, change: Value) -> Issuer {
        let mut asked = json!({
            "redirect_uris": [format!("http://{}/api/v1/auth/sso/callback", tenant.host)],
            "secret": CLIENT_SECRET,
            "accounts": {"ada": {"email": "Ada@example.org", "email_verified": true, "name": "Ada", "groups": ["staff"]}},
        });
        for (name, value) in change.as_object().unwrap() {
            asked[name] = value.clone();
        }
        let http = tenant.world.http.clone();
        let answer = control(&http, "/issuer", asked).await;
        Issuer { url: answer["issuer"].as_str().unwrap().to_owned(), http }
    }

    /// Turns knobs; the script says which there are.
    pub async fn turn(&self, mut knobs: Value) {
        knobs["issuer"] = self.url.clone().into();
        control(&self.http, "/knob", knobs).await;
    }

    /// How often its keys were asked for.
    pub async fn asked_for_keys(&self) -> u64 {
        self.asked_for("jwks").await
    }

    /// How often its configuration was asked for.
    pub async fn asked_for_configuration(&self) -> u64 {
        self.asked_for("discovery").await
    }

    async fn asked_for(&self, what: &str) -> u64 {
        control(&self.http, "/counts", json!({"issuer": self.url})).await[what].as_u64().unwrap()
    }

    /// A token that it signs, with its key's name in the header unless that says another one.
    pub async fn token(&self, header: Value, claims: Value) -> String {
        let asked = json!({"issuer": self.url, "header": header, "claims": claims});
        control(&self.http, "/token", asked).await["token"].as_str().unwrap().to_owned()
    }

    /// The body that makes it a provider of a tenant: whoever is staff becomes an editor.
    pub fn provider(&self) -> Value {
        json!({"id": "corp", "name": "Corp", "issuer": self.url, "client_id": CLIENT, "client_secret": CLIENT_SECRET,
            "scopes": "openid email profile groups", "role_claim": "groups", "role_map": {"staff": "editor"}})
    }

    /// Walks through the issuer's pages as somebody; where it sends the browser in the end.
    pub async fn pass(&self, destination: &str, account: &str) -> String {
        let mut cookies = BTreeMap::new();
        let mut url = format!("{destination}&login_hint={account}");
        while url.starts_with(&self.url) {
            let jar: Vec<String> = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let asked = self.http.get(&url).header("Cookie", jar.join("; ")).send();
            let answer = within("the issuer's page", asked).await.unwrap();
            for cookie in answer.headers().get_all("set-cookie") {
                let (name, value) = cookie.to_str().unwrap().split(';').next().unwrap().split_once('=').unwrap();
                cookies.insert(name.to_owned(), value.to_owned());
            }
            let location = answer.headers().get("location").map(|to| to.to_str().unwrap().to_owned());
            let Some(location) = location else {
                panic!("the issuer sends nobody on: {} {}", answer.status(), answer.text().await.unwrap())
            };
            url = if location.starts_with('/') { format!("{}{location}", self.url) } else { location };
        }
        url
    }
}

async fn control(http: &reqwest::Client, path: &str, asked: Value) -> Value {
    let url = tokio::task::spawn_blocking(|| issuers().control.clone()).await.unwrap();
    let answer = within(path, http.post(format!("{url}{path}")).body(asked.to_string()).send()).await.unwrap();
    let (status, text) = (answer.status(), answer.text().await.unwrap());
    assert!(status.is_success(), "{path}: {text}");
    serde_json::from_str(&text).unwrap()
}

/// A browser on a tenant's host, with its cookies.
#[derive(Clone)]
pub struct Browser {
    pub tenant: Tenant,
    pub cookies: BTreeMap<String, String>,
}

impl Browser {
    pub fn of(tenant: &Tenant) -> Browser {
        Browser { tenant: tenant.clone(), cookies: BTreeMap::new() }
    }

    /// Goes to an address on the tenant's host, given whole or as a path, and keeps the cookies.
    pub async fn go(&mut self, address: &str) -> TestResponse {
        let path = address.strip_prefix(&format!("http://{}", self.tenant.host)).unwrap_or(address);
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let mut call = self.tenant.call("GET", path).header("Sec-Fetch-Site", "cross-site");
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            call = call.query(&name, &value);
        }
        if !self.cookies.is_empty() {
            let jar: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            call = call.header("Cookie", &jar.join("; "));
        }
        let answer = call.send().await;
        for cookie in answer.headers.get_all("set-cookie") {
            let (pair, rules) = cookie.to_str().unwrap().split_once(';').unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            assert!(name.starts_with("__Host-"), "{name}");
            for rule in ["Path=/", "Secure", "HttpOnly", "SameSite=Lax"] {
                assert!(rules.contains(rule), "{name}: {rules}");
            }
            match rules.contains("Max-Age=0") {
                true => drop(self.cookies.remove(name)),
                false => drop(self.cookies.insert(name.to_owned(), value.to_owned())),
            }
        }
        answer
    }

    /// Begins to sign in; where the provider is.
    pub async fn begin(&mut self) -> String {
        let answer = self.go("/api/v1/auth/sso/corp?return_to=/console%3Ftab%3D1").await.expect(302);
        answer.header("location").to_owned()
    }

    /// Signs in as far as the way back; the address that the issuer sends the browser to.
    pub async fn until_callback(&mut self, issuer: &Issuer, account: &str) -> String {
        let destination = self.begin().await;
        issuer.pass(&destination, account).await
    }

    /// Signs in, all the way.
    pub async fn sign_in(&mut self, issuer: &Issuer, account: &str) -> TestResponse {
        let callback = self.until_callback(issuer, account).await;
        self.go(&callback).await
    }
}
