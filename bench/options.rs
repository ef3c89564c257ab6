//! What to measure: the command line.

use std::path::PathBuf;
use std::time::Duration;

use crate::Result;
use crate::peers::Peer;

/// What `--help` prints.
pub const HELP: &str = "\
Measures Carillon beside a plain JavaScript object on the same workerd and nginx + nchan.

cargo bench --bench live -- [SECTION…] [OPTION…]

Sections (all by default but rows, which loads for minutes the first time)
  idle           streams opened per second, memory per idle subscriber
  burst          100 webhooks over 20 connections, as fast as they are answered
  steady         500 subscribers × 50 events/s and 2,000 × 10/s
  overload       500 subscribers × 1,000 events/s
  requests       a GET of one tenant and a webhook POST beside a plain JavaScript Worker
  graphql        GraphQL answers out of memory, of KV and from the site, and equal questions at once, beside a plain
                 JavaScript Worker; the first answer after a webhook; 10,000 documents by Zipf
  attack         what a tenant notices while one network attacks another one with what is refused
  costly         the same with requests that cost much and are answered
  deletion       what four tenants wait while a large collection of another one is deleted
  credentials    a request by key, token and cookie beside an anonymous one
  matching       an update for one subscriber among many of other topics, and the hub's waking
  first_request  the first request in a fresh isolate, beside an empty Rust Worker
  rows           operations on a few and on many records, of a tenant alone and of one among many

Options
  --subscribers N,N   sizes for idle and burst (100,1000,5000) and matching (1,1000,10000)
  --seconds N         length of a steady run (60, or BENCH_SECONDS); overload runs a third of it
  --rounds N          bursts per size, of which the median counts (5)
  --peers NAME,NAME   carillon, direct, plain, logged, nchan (all)
  --records FEW,MANY  sizes of the collection that rows asks for (100,10000); deletion deletes one of MANY
  --tenants N         tenants of rows (1000)
  --neighbours N      records of each other one (500)
  --state DIR         where the rows are kept for the next run (target/bench-rows)
  --quick             a smoke run: 50 subscribers, 3 seconds, one round; rows of 5 tenants, 100 and 500 records
";

/// Records of a bulk; no collection that is asked has fewer.
pub const BULK: usize = 100;

/// A part of the benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    Idle,
    Burst,
    Steady,
    Overload,
    Requests,
    Graphql,
    Credentials,
    Attack,
    Costly,
    Deletion,
    Matching,
    FirstRequest,
    Rows,
}

impl Section {
    /// Those that are measured where nobody names one.
    const ALL: [Self; 12] = [
        Self::Idle,
        Self::Burst,
        Self::Steady,
        Self::Overload,
        Self::Requests,
        Self::Graphql,
        Self::Credentials,
        Self::Attack,
        Self::Costly,
        Self::Deletion,
        Self::Matching,
        Self::FirstRequest,
    ];

    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "idle" => Self::Idle,
            "burst" => Self::Burst,
            "steady" => Self::Steady,
            "overload" => Self::Overload,
            "requests" => Self::Requests,
            "graphql" => Self::Graphql,
            "credentials" => Self::Credentials,
            "attack" => Self::Attack,
            "costly" => Self::Costly,
            "deletion" => Self::Deletion,
            "matching" => Self::Matching,
            "first_request" => Self::FirstRequest,
            "rows" => Self::Rows,
            _ => return None,
        })
    }
}

/// How many rows of what.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    pub tenants: usize,
    /// Of the tenant that has few.
    pub few: usize,
    /// Of the tenant that has many.
    pub many: usize,
    /// Of each other tenant.
    pub neighbours: usize,
}

/// What to measure, and how long.
#[derive(Clone, Debug)]
pub struct Options {
    pub sections: Vec<Section>,
    pub sizes: Vec<usize>,
    /// Subscribers and events per second of the steady runs.
    pub steady: Vec<(usize, u32)>,
    pub overload: (usize, u32),
    pub length: Duration,
    pub rounds: usize,
    pub calls: usize,
    /// Subscribers of other topics.
    pub matching: Vec<usize>,
    pub size: Size,
    /// Where rows are kept from run to run.
    pub state: PathBuf,
    pub peers: Vec<Peer>,
    pub help: bool,
}

impl Options {
    /// Reads the arguments after the program's name; `seconds` is the value of BENCH_SECONDS.
    pub fn read(mut arguments: impl Iterator<Item = String>, seconds: Option<String>) -> Result<Self> {
        let mut options = Self {
            sections: Vec::new(),
            sizes: vec![100, 1_000, 5_000],
            steady: vec![(500, 50), (2_000, 10)],
            overload: (500, 1_000),
            length: Duration::from_secs(60),
            rounds: 5,
            calls: 2_000,
            matching: vec![1, 1_000, 10_000],
            size: Size { tenants: 1_000, few: 100, many: 10_000, neighbours: 500 },
            state: PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/target/bench-rows")),
            peers: Peer::LIVE.to_vec(),
            help: false,
        };
        if let Some(seconds) = seconds {
            options.length = Duration::from_secs(seconds.parse().map_err(|_| "BENCH_SECONDS must be a number")?);
        }
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
            match &*argument {
                "--bench" => {} // cargo's own
                "--help" | "-h" => options.help = true,
                "--quick" => options.make_quick(),
                "--subscribers" => {
                    options.sizes = list(&value()?, |size| size.parse().ok().filter(|size| *size > 0))?;
                    options.matching.clone_from(&options.sizes);
                }
                "--seconds" => options.length = Duration::from_secs(number(&value()?)?),
                "--rounds" => options.rounds = usize::try_from(number(&value()?)?)?,
                "--tenants" => options.size.tenants = usize::try_from(number(&value()?)?)?,
                "--neighbours" => options.size.neighbours = usize::try_from(number(&value()?)?)?,
                "--records" => {
                    let sizes = list(&value()?, |size| size.parse().ok().filter(|size| *size >= BULK))?;
                    let [few, many] = *sizes else { return Err("--records needs two sizes: FEW,MANY".into()) };
                    (options.size.few, options.size.many) = (few, many);
                }
                "--state" => options.state = value()?.into(),
                "--peers" => options.peers = list(&value()?, peer)?,
                name => options.sections.push(
                    Section::named(name)
                        .ok_or_else(|| format!("unknown argument {name}; --help lists what there is"))?,
                ),
            }
        }
        if options.sections.is_empty() {
            options.sections = Section::ALL.to_vec();
            // The rest is about our own alone.
            let about_others = |section: &Section| {
                matches!(section, Section::Idle | Section::Burst | Section::Steady | Section::Overload)
            };
            options.sections.retain(|section| about_others(section) || options.peers.contains(&Peer::Carillon));
        }
        Ok(options)
    }

    fn make_quick(&mut self) {
        self.sizes = vec![50];
        self.steady = vec![(50, 20)];
        self.overload = (50, 200);
        self.length = Duration::from_secs(3);
        self.rounds = 1;
        self.calls = 50;
        self.matching = vec![1, 50];
        self.size = Size { tenants: 5, few: 100, many: 500, neighbours: 100 };
    }

    /// The most subscribers that any chosen section asks for.
    pub fn most_subscribers(&self) -> usize {
        let of = |section: &Section| match section {
            Section::Idle | Section::Burst => self.sizes.iter().copied().max().unwrap_or(0),
            Section::Steady => self.steady.iter().map(|(subscribers, _)| *subscribers).max().unwrap_or(0),
            Section::Overload => self.overload.0,
            Section::Matching => self.matching.iter().copied().max().unwrap_or(0),
            Section::Requests | Section::Graphql | Section::Credentials | Section::Attack | Section::Costly => 0,
            Section::Deletion | Section::FirstRequest | Section::Rows => 0,
        };
        self.sections.iter().map(of).max().unwrap_or(0)
    }
}

fn number(text: &str) -> Result<u64> {
    text.parse().ok().filter(|number| *number > 0).ok_or_else(|| format!("{text} is no number above 0").into())
}

fn list<T>(text: &str, item: impl Fn(&str) -> Option<T>) -> Result<Vec<T>> {
    text.split(',').map(|part| item(part).ok_or_else(|| format!("cannot read {part} in {text}").into())).collect()
}

fn peer(name: &str) -> Option<Peer> {
    Some(match name {
        "carillon" => Peer::Carillon,
        "direct" => Peer::Direct,
        "plain" => Peer::Plain,
        "logged" => Peer::Logged,
        "nchan" => Peer::Nchan,
        _ => return None,
    })
}
