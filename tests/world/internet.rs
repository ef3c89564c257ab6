//! The public internet, as far as custom domains go: a resolver of DNS over HTTPS, and what answers for each domain.
//!
//! Both are one server of this process, shared by all tests; names are the tests' own. It runs on a thread, because the
//! runtimes of single tests end with them.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, OnceLock};

use serde_json::{Value, json};

/// The public internet, as far as tests need it.
#[derive(Clone)]
pub struct Internet {
    port: u16,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// TXT records by name; none where the name servers fail.
    records: HashMap<String, Option<Vec<String>>>,
    /// The status that a domain answers with; a domain that is not here does not answer.
    sites: HashMap<String, u16>,
    /// What was asked for: methods and targets of all requests.
    asked: Vec<String>,
}

impl Internet {
    pub fn shared() -> Internet {
        static SHARED: OnceLock<Internet> = OnceLock::new();
        SHARED.get_or_init(Internet::start).clone()
    }

    fn start() -> Internet {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let internet = Internet { port: listener.local_addr().unwrap().port(), state: Arc::default() };
        let served = internet.clone();
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let served = served.clone();
                std::thread::spawn(move || drop(served.serve(&socket)));
            }
        });
        internet
    }

    /// The variables of a deployment in which domains are proven, and all that it asks is here.
    pub fn vars(&self) -> Vec<(&'static str, String)> {
        vec![
            ("DOMAIN_PROOF", "required".to_owned()),
            ("DNS_RESOLVER_URL", self.url("/dns-query?ct=json")),
            ("DOMAIN_PROBE_URL", self.url("/site/{domain}")),
        ]
    }

    /// A URL of this server.
    pub fn url(&self, rest: &str) -> String {
        format!("http://127.0.0.1:{}{rest}", self.port)
    }

    /// Sets the TXT records of a name.
    pub fn set(&self, name: &str, texts: &[&str]) {
        let texts = texts.iter().map(|text| (*text).to_owned()).collect();
        self.state.lock().unwrap().records.insert(name.to_owned(), Some(texts));
    }

    /// Sets the record that a domain's answer asks for.
    pub fn prove(&self, domain: &Value) {
        let record = &domain["record"];
        self.set(record["name"].as_str().unwrap(), &["v=spf1 -all", record["value"].as_str().unwrap()]);
    }

    /// The name servers of a name fail.
    pub fn fail(&self, name: &str) {
        self.state.lock().unwrap().records.insert(name.to_owned(), None);
    }

    /// What HTTPS to a domain answers.
    pub fn site(&self, domain: &str, status: u16) {
        self.state.lock().unwrap().sites.insert(domain.to_owned(), status);
    }

    /// What was asked for with this text in it.
    pub fn asked(&self, text: &str) -> Vec<String> {
        let state = self.state.lock().unwrap();
        state.asked.iter().filter(|asked| asked.contains(text)).cloned().collect()
    }

    fn serve(&self, socket: &TcpStream) -> std::io::Result<()> {
        let mut lines = BufReader::new(socket).lines();
        let first = lines.next().transpose()?.unwrap_or_default();
        for line in lines {
            if line?.is_empty() {
                break;
            }
        }
        let target = first.split(' ').nth(1).unwrap_or_default().to_owned();
        let answer = self.answer(first, &target);
        let Some((status, headers, body)) = answer else { return Ok(()) };
        let length = body.len();
        let mut socket = socket;
        write!(socket, "HTTP/1.1 {status} X\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}")
    }

    fn answer(&self, first: String, target: &str) -> Option<(u16, String, String)> {
        let mut state = self.state.lock().unwrap();
        state.asked.push(first);
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        if path == "/dns-query" {
            let name = query.split('&').find_map(|pair| pair.strip_prefix("name=")).unwrap_or_default();
            let body = match state.records.get(name) {
                Some(None) => json!({"Status": 2}),
                None => json!({"Status": 3, "Question": [{"name": name, "type": 16}]}),
                Some(Some(texts)) => {
                    let quoted =
                        |text: &String| json!({"name": name, "type": 16, "TTL": 60, "data": format!("\"{text}\"")});
                    json!({"Status": 0, "Answer": texts.iter().map(quoted).collect::<Vec<_>>()})
                }
            };
            return Some((200, String::new(), body.to_string()));
        }
        if let Some(domain) = path.strip_prefix("/site/") {
            return state.sites.get(domain).map(|status| (*status, String::new(), "words of a site".to_owned()));
        }
        if path == "/redirect" {
            return Some((302, format!("Location: {}\r\n", self.url("/followed")), String::new()));
        }
        Some((200, String::new(), "{}".to_owned()))
    }
}
