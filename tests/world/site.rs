//! A WordPress site with WPGraphQL, as far as an endpoint in front of it sees one: recorded responses, and whatever else a
//! test wants it to say.
//!
//! All sites are one server of this process, on a thread, because the runtimes of single tests end with them. A site is a path
//! of its own.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use serde_json::Value;

use super::site_records::{self, Recorded};
use super::unique;

/// A request as the site got it.
#[derive(Clone, Debug)]
pub struct SiteRequest {
    pub method: String,
    /// Path and query, as sent.
    pub target: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl SiteRequest {
    /// A header's value; empty without one.
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value)
    }

    /// A parameter of the query, decoded.
    pub fn parameter(&self, name: &str) -> Option<String> {
        let query = self.target.split_once('?').map_or("", |(_, query)| query);
        form_urlencoded::parse(query.as_bytes()).find(|(n, _)| n == name).map(|(_, value)| value.into_owned())
    }

    /// The document that is asked, wherever it stands.
    pub fn document(&self) -> String {
        let in_body = || serde_json::from_str::<Value>(&self.body).ok()?["query"].as_str().map(str::to_owned);
        self.parameter("query").or_else(in_body).unwrap_or_default()
    }
}

/// What a site says.
#[derive(Clone, Debug)]
pub struct SiteAnswer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
    /// How long it thinks before.
    pub delay: Duration,
    /// Closes the connection in place of an answer.
    pub hangs_up: bool,
}

impl SiteAnswer {
    pub fn json(status: u16, body: impl Into<String>) -> SiteAnswer {
        let headers = vec![("Content-Type".to_owned(), "application/json; charset=UTF-8".to_owned())];
        SiteAnswer { status, headers, body: body.into(), delay: Duration::ZERO, hangs_up: false }
    }

    pub fn html(status: u16, body: &str) -> SiteAnswer {
        SiteAnswer { status, ..SiteAnswer::typed("text/html", body) }
    }

    /// 200 with this media type.
    pub fn typed(media_type: &str, body: &str) -> SiteAnswer {
        SiteAnswer { headers: vec![("Content-Type".into(), media_type.into())], ..SiteAnswer::json(200, body) }
    }

    pub fn nothing() -> SiteAnswer {
        SiteAnswer { hangs_up: true, ..SiteAnswer::json(200, "") }
    }

    pub fn with(mut self, name: &str, value: &str) -> SiteAnswer {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub fn after(self, delay: Duration) -> SiteAnswer {
        SiteAnswer { delay, ..self }
    }
}

type Says = Arc<dyn Fn(&SiteRequest) -> SiteAnswer + Send + Sync>;

#[derive(Default)]
struct State {
    says: HashMap<String, Says>,
    asked: HashMap<String, Vec<SiteRequest>>,
}

struct Server {
    port: u16,
    state: Mutex<State>,
}

fn server() -> &'static Arc<Server> {
    static SHARED: OnceLock<Arc<Server>> = OnceLock::new();
    SHARED.get_or_init(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Arc::new(Server { port: listener.local_addr().unwrap().port(), state: Mutex::default() });
        let served = Arc::clone(&server);
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let served = Arc::clone(&served);
                std::thread::spawn(move || drop(served.serve(&socket)));
            }
        });
        server
    })
}

impl Server {
    fn serve(&self, mut socket: &TcpStream) -> std::io::Result<()> {
        let mut reader = BufReader::new(socket);
        let mut first = String::new();
        reader.read_line(&mut first)?;
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut parts = first.split(' ');
        let (method, target) =
            (parts.next().unwrap_or_default().to_owned(), parts.next().unwrap_or_default().to_owned());
        let mut request = SiteRequest { method, target, headers, body: String::new() };
        request.body = body(&mut reader, &request)?;
        let path = request.target.split('?').next().unwrap_or_default().to_owned();
        let says = {
            let mut state = self.state.lock().unwrap();
            state.asked.entry(path.clone()).or_default().push(request.clone());
            state.says.get(&path).cloned()
        };
        let answer = says.map_or_else(|| SiteAnswer::html(404, "Not found"), |says| says(&request));
        std::thread::sleep(answer.delay);
        if answer.hangs_up {
            return Ok(());
        }
        write!(socket, "HTTP/1.1 {} X\r\n", answer.status)?;
        for (name, value) in &answer.headers {
            write!(socket, "{name}: {value}\r\n")?;
        }
        write!(socket, "Content-Length: {}\r\nConnection: close\r\n\r\n{}", answer.body.len(), answer.body)
    }
}

fn body(reader: &mut impl BufRead, request: &SiteRequest) -> std::io::Result<String> {
    let mut body = Vec::new();
    if request.header("transfer-encoding") == "chunked" {
        loop {
            let mut size = String::new();
            reader.read_line(&mut size)?;
            let size = u64::from_str_radix(size.trim(), 16).unwrap_or(0);
            reader.take(size).read_to_end(&mut body)?;
            reader.read_line(&mut String::new())?;
            if size == 0 {
                break;
            }
        }
    } else {
        let length = request.header("content-length").parse().unwrap_or(0);
        reader.take(length).read_to_end(&mut body)?;
    }
    Ok(String::from_utf8_lossy(&body).into_owned())
}

/// A site of one test.
#[derive(Clone)]
pub struct Site {
    path: String,
}

impl Site {
    /// A site that answers what was recorded.
    pub fn recorded() -> Site {
        Site::saying(|request| site_records::answer(&request.document()))
    }

    /// A site that says this.
    pub fn saying(says: impl Fn(&SiteRequest) -> SiteAnswer + Send + Sync + 'static) -> Site {
        Site::named(&unique(), says)
    }

    /// A site that says this, with a name in its address.
    pub fn named(name: &str, says: impl Fn(&SiteRequest) -> SiteAnswer + Send + Sync + 'static) -> Site {
        let site = Site { path: format!("/{name}/graphql") };
        site.now(says);
        site
    }

    /// It says something else from now on.
    pub fn now(&self, says: impl Fn(&SiteRequest) -> SiteAnswer + Send + Sync + 'static) {
        server().state.lock().unwrap().says.insert(self.path.clone(), Arc::new(says));
    }

    /// Its endpoint.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}{}", server().port, self.path)
    }

    /// What it was asked, oldest first.
    pub fn asked(&self) -> Vec<SiteRequest> {
        server().state.lock().unwrap().asked.get(&self.path).cloned().unwrap_or_default()
    }

    /// The one request that it was asked.
    #[track_caller]
    pub fn asked_once(&self) -> SiteRequest {
        let mut asked = self.asked();
        assert_eq!(asked.len(), 1, "{asked:?}");
        asked.remove(0)
    }
}

/// What was recorded of a document.
pub fn recorded(document: &str) -> &'static Recorded {
    site_records::RECORDED.iter().find(|recorded| recorded.document == document).unwrap()
}
