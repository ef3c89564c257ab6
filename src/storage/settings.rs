//! What the deployment configures, read once per isolate.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use worker::Env;

use super::sealed::{KeyRing, MasterKey};
use domain::error::Invalid;
use domain::host::RootDomain;
use domain::outbound::{Loopback, OutboundUrl};
use domain::sign_in::Hashing;

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
    /// Whether a tenant's OpenID provider, or issuer of tokens, may be on this machine. For tests only.
    pub allow_loopback_issuers: bool,
    /// Which parameters new password hashes get.
    pub password_hashing: Hashing,
    /// Whether the work of hashing passwords is logged per request. For tests only.
    pub logs_password_work: bool,
    /// Who delivers mail, if anybody does.
    pub mail_hook: Option<MailHook>,
    /// Whether mail that nobody delivers is logged, tokens included. For development only.
    pub logs_mail: bool,
    /// The step of a tenant change after which it stops, as a crash would. For tests only.
    pub fault_after: Option<String>,
}

/// Who delivers mail: an endpoint that takes signed webhooks.
pub struct MailHook {
    /// Its URL.
    pub url: String,
    /// What each delivery is signed with, as in Standard Webhooks.
    pub secret: String,
}

impl MailHook {
    /// Tokens that open accounts go out over TLS, or do not leave the machine.
    fn new(url: String, secret: Option<String>) -> Result<Self, String> {
        let rest = url.strip_prefix("http://").unwrap_or_default();
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let loopback = ["localhost", "127.0.0.1", "[::1]"]
            .iter()
            .any(|name| host.strip_prefix(name).is_some_and(|port| port.is_empty() || port.starts_with(':')));
        if !url.starts_with("https://") && !loopback {
            return Err("MAIL_HOOK_URL must begin with https://".into());
        }
        Ok(Self { url, secret: secret.ok_or("MAIL_HOOK_SECRET is not set")? })
    }
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

    /// Reads an address that a tenant or its provider names, and that the platform is to call.
    pub fn outbound(&self, text: &str) -> Result<OutboundUrl, Invalid> {
        let loopback = if self.allow_loopback_issuers { Loopback::Allowed } else { Loopback::Refused };
        OutboundUrl::parse(text, &self.root_domain, loopback)
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
        let hashing = var("PASSWORD_HASHING").unwrap_or_else(|| "standard".to_owned());
        let mail_hook = var("MAIL_HOOK_URL").map(|url| MailHook::new(url, var("MAIL_HOOK_SECRET")));
        let is_on = |name: &str| var(name).as_deref() == Some("true");
        Ok(Self {
            root_domain,
            shards: needed("SHARDS")?.split(',').map(|s| s.trim().to_owned()).collect(),
            keep_alive_seconds: var("KEEP_ALIVE_SECONDS").and_then(|v| v.parse().ok()).unwrap_or(20).clamp(1, 120),
            platform_key,
            keys: KeyRing::new(current, keys).ok_or_else(|| format!("KEK_v{current} is not set"))?,
            allow_loopback_issuers: is_on("ALLOW_LOOPBACK_ISSUERS"),
            password_hashing: Hashing::parse(&hashing).ok_or("PASSWORD_HASHING must be standard or light")?,
            logs_password_work: is_on("PASSWORD_WORK_LOG"),
            mail_hook: mail_hook.transpose()?,
            logs_mail: is_on("MAIL_LOG"),
            fault_after: var("FAULT_AFTER"),
        })
    }
}
