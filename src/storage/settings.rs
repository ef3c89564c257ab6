//! What the deployment configures, read once per isolate.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use worker::Env;

use super::sealed::{KeyRing, MasterKey};
use crate::domain::host::RootDomain;

thread_local! {
    static SETTINGS: RefCell<Option<Rc<Settings>>> = const { RefCell::new(None) };
}

/// Configuration of this deployment. Secrets in it are never printed: there is no `Debug`.
pub struct Settings {
    /// The domain under which platform and tenants live.
    pub root_domain: RootDomain,
    /// Names of the shard bindings, in order.
    pub shards: Vec<String>,
    /// Seconds between two keep-alives of a stream.
    pub keep_alive_seconds: u32,
    /// The platform key; checked in constant time by `auth`.
    pub platform_key: String,
    /// The keys that everything else is sealed under.
    pub keys: KeyRing,
    /// Whether a tenant's OpenID provider may be on this machine. For tests only.
    pub allow_loopback_issuers: bool,
    /// The step of a tenant change after which it stops, as a crash would. For tests only.
    pub fault_after: Option<String>,
    /// Whether mail that nobody delivers is logged, tokens included. For development only.
    pub logs_mail: bool,
}

impl Settings {
    /// The isolate's settings; read from the environment at the first call.
    pub fn of(env: &Env) -> Result<Rc<Self>, String> {
        if let Some(settings) = SETTINGS.with(|s| s.borrow().clone()) {
            return Ok(settings);
        }
        let settings = Rc::new(Self::read(env)?);
        SETTINGS.with(|s| *s.borrow_mut() = Some(Rc::clone(&settings)));
        Ok(settings)
    }

    fn read(env: &Env) -> Result<Self, String> {
        let var = |name: &str| env.var(name).map(|v| v.to_string()).ok().filter(|v| !v.is_empty());
        let needed = |name: &str| var(name).ok_or_else(|| format!("{name} is not set"));
        let root_domain = RootDomain::parse(&needed("ROOT_DOMAIN")?).map_err(|e| format!("ROOT_DOMAIN {e}"))?;
        let platform_key = needed("PLATFORM_KEY")?;
        if platform_key.len() < 32 {
            return Err("PLATFORM_KEY must be at least 32 characters long".into());
        }
        let current: u32 = needed("KEK_VERSION")?.parse().map_err(|_| "KEK_VERSION must be a number")?;
        let mut keys = HashMap::new();
        for version in 1..=current {
            if let Some(text) = var(&format!("KEK_v{version}")) {
                let bytes = BASE64.decode(text.trim()).ok().and_then(|b| <[u8; 32]>::try_from(b).ok());
                let bytes = bytes.ok_or_else(|| format!("KEK_v{version} must be 32 bytes in base64"))?;
                keys.insert(version, MasterKey::new(bytes));
            }
        }
        Ok(Self {
            root_domain,
            shards: needed("SHARDS")?.split(',').map(|s| s.trim().to_owned()).collect(),
            keep_alive_seconds: var("KEEP_ALIVE_SECONDS").and_then(|v| v.parse().ok()).unwrap_or(20).clamp(1, 120),
            platform_key,
            keys: KeyRing::new(current, keys).ok_or_else(|| format!("KEK_v{current} is not set"))?,
            allow_loopback_issuers: var("ALLOW_LOOPBACK_ISSUERS").as_deref() == Some("true"),
            fault_after: var("FAULT_AFTER"),
            logs_mail: var("MAIL_LOG").as_deref() == Some("true"),
        })
    }
}
