//! The deployment's configuration: variables and secrets, read and checked once per isolate.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use worker::Env;

use super::sealed::{KeyRing, MasterKey};
use crate::credentials::webhook_secret;
use domain::domain_proof::ProofPolicy;
use domain::error::Invalid;
use domain::host::RootDomain;
use domain::keep_alive;
use domain::outbound::{Loopback, OutboundUrl};
use domain::sign_in::Hashing;

/// The resolver where none is configured.
const DNS_RESOLVER: &str = "https://cloudflare-dns.com/dns-query";

thread_local! {
    static SETTINGS: RefCell<Option<Rc<Settings>>> = const { RefCell::new(None) };
}

/// The deployment's configuration. It has no `Debug`, so that its secrets are never printed.
pub struct Settings {
    /// `ROOT_DOMAIN`: the platform's domain, and the parent of tenants' hosts.
    pub root_domain: RootDomain,
    /// `SHARDS`: names of the shards' bindings, in order.
    pub shards: Vec<String>,
    /// `KEEP_ALIVE_SECONDS` between two keep-alives of a stream: 1 to 120, default 20.
    pub keep_alive_seconds: u32,
    /// `PLATFORM_KEY`, at least 32 characters; compared in constant time by `auth`.
    pub platform_key: String,
    /// `KEK_v1` to `KEK_v{KEK_VERSION}`: the master keys.
    pub keys: KeyRing,
    /// `ALLOW_LOOPBACK`: whether this machine may be called. For development and tests only: `ROOT_DOMAIN` must be local.
    pub loopback: Loopback,
    /// `DOMAIN_PROOF`: whether custom domains must be proven. `assumed` is for development and tests only, likewise.
    pub domain_proof: ProofPolicy,
    /// `DNS_RESOLVER_URL`: the resolver that is asked for TXT records, with JSON over HTTPS.
    pub dns_resolver: OutboundUrl,
    /// `DOMAIN_PROBE_URL`: what is called in place of a custom domain, whose name stands for `{domain}`. For tests only.
    pub domain_probe: Option<String>,
    /// `PASSWORD_HASHING`: the Argon2id parameters of new password hashes.
    pub password_hashing: Hashing,
    /// `PASSWORD_WORK_LOG`: whether each request logs its password hashing. For tests only.
    pub logs_password_work: bool,
    /// `CALLS_LOG`: whether each request logs how often its isolate has called databases and hubs. For tests only.
    pub logs_calls: bool,
    /// `ROWS_LOG`: whether each transaction on a tenant's rows logs how many its statements read and wrote. For tests only.
    pub logs_rows: bool,
    /// `MAIL_HOOK_URL` and `MAIL_HOOK_SECRET`: where mail is delivered to, if anywhere.
    pub mail_hook: Option<MailHook>,
    /// `MAIL_LOG`: whether mail without a hook is logged, tokens included. For development only.
    pub logs_mail: bool,
    /// `FAULT_AFTER`: the step of a tenant change after which it stops, as a crash would; `collection` for the commit that
    /// hides or deletes a collection; `stuck:{tenant}` for a tenant whose hub does not answer cron. For tests only.
    pub fault_after: Option<String>,
}

/// An endpoint that delivers mail; it is called with signed webhooks.
pub struct MailHook {
    /// Its URL. Mail carries tokens that open accounts, so it leaves this machine over TLS only.
    pub url: OutboundUrl,
    /// The secret that signs each delivery (Standard Webhooks).
    pub secret: String,
}

impl MailHook {
    fn new(url: &str, secret: Option<String>, loopback: Loopback) -> Result<Self, String> {
        let url = OutboundUrl::of_deployment(url, loopback).map_err(|e| format!("MAIL_HOOK_URL {e}"))?;
        let secret = secret.ok_or("MAIL_HOOK_SECRET is not set")?;
        let secret = webhook_secret::parse(&secret).map_err(|invalid| format!("MAIL_HOOK_SECRET {invalid}"))?;
        Ok(Self { url, secret })
    }
}

impl Settings {
    /// The isolate's settings, read from the environment at the first call; the error is a sentence for whoever deploys.
    pub fn of(env: &Env) -> Result<Rc<Self>, String> {
        if let Some(settings) = SETTINGS.with(|s| s.borrow().clone()) {
            return Ok(settings);
        }
        let settings = Rc::new(Self::read(env)?);
        SETTINGS.with(|s| *s.borrow_mut() = Some(Rc::clone(&settings)));
        Ok(settings)
    }

    /// Reads a URL that somebody else names (a tenant, its OpenID provider) and that the platform is to call: when it is
    /// saved, and again each time it is called.
    pub fn outbound(&self, text: &str) -> Result<OutboundUrl, Invalid> {
        OutboundUrl::parse(text, &self.root_domain, self.loopback)
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
        let is_on = |name: &str| var(name).as_deref() == Some("true");
        let only_local = |name: &str, is_set: bool| match is_set && !root_domain.is_local() {
            true => Err(format!("{name} is for development only: ROOT_DOMAIN would have to be localhost")),
            false => Ok(is_set),
        };
        // The second name is that of earlier releases.
        let is_loopback_allowed = is_on("ALLOW_LOOPBACK") || is_on("ALLOW_LOOPBACK_ISSUERS");
        let loopback = match only_local("ALLOW_LOOPBACK", is_loopback_allowed)? {
            true => Loopback::Allowed,
            false => Loopback::Refused,
        };
        let proof = var("DOMAIN_PROOF").unwrap_or_else(|| "required".to_owned());
        let domain_proof = ProofPolicy::parse(&proof).ok_or("DOMAIN_PROOF must be required or assumed")?;
        only_local("DOMAIN_PROOF=assumed", domain_proof == ProofPolicy::Assumed)?;
        let resolver = var("DNS_RESOLVER_URL").unwrap_or_else(|| DNS_RESOLVER.to_owned());
        let dns_resolver =
            OutboundUrl::of_deployment(&resolver, loopback).map_err(|e| format!("DNS_RESOLVER_URL {e}"))?;
        let domain_probe = var("DOMAIN_PROBE_URL");
        only_local("DOMAIN_PROBE_URL", domain_probe.is_some())?;
        let mail_hook = var("MAIL_HOOK_URL").map(|url| MailHook::new(&url, var("MAIL_HOOK_SECRET"), loopback));
        Ok(Self {
            root_domain,
            shards: needed("SHARDS")?.split(',').map(|s| s.trim().to_owned()).collect(),
            keep_alive_seconds: keep_alive::seconds(var("KEEP_ALIVE_SECONDS").as_deref()),
            platform_key,
            keys: KeyRing::new(current, keys).ok_or_else(|| format!("KEK_v{current} is not set"))?,
            loopback,
            domain_proof,
            dns_resolver,
            domain_probe,
            password_hashing: Hashing::parse(&hashing).ok_or("PASSWORD_HASHING must be standard or light")?,
            logs_password_work: is_on("PASSWORD_WORK_LOG"),
            logs_calls: is_on("CALLS_LOG"),
            logs_rows: is_on("ROWS_LOG"),
            mail_hook: mail_hook.transpose()?,
            logs_mail: is_on("MAIL_LOG"),
            fault_after: var("FAULT_AFTER"),
        })
    }
}
