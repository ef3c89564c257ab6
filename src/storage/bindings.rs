//! The deployment's bindings (databases, KV, R2, Durable Objects, rate limit) and its clock, typed.

use std::rc::Rc;

use wasm_bindgen::JsValue;
use worker::{Date, Env};

use super::d1::Database;
use super::settings::Settings;
use super::sql::StorageError;
use domain::clock::{Clock, Timestamp};

/// Everything a request can reach: settings, databases, KV, files, hubs, the clock.
#[derive(Clone)]
pub struct Bindings {
    env: Env,
    /// The deployment's configuration.
    pub settings: Rc<Settings>,
}

impl Bindings {
    /// Reads the deployment's configuration; the error is a sentence for whoever deploys.
    pub fn new(env: Env) -> Result<Self, String> {
        let settings = Settings::of(&env)?;
        Ok(Self { env, settings })
    }

    pub(super) fn d1(&self, name: &str) -> Result<Database, StorageError> {
        let binding = self.env.d1(name).map_err(|e| StorageError::Unavailable(format!("{name}: {e}").into()))?;
        Ok(Database::new(binding.into()))
    }

    /// The KV namespace of hints and caches.
    pub(super) fn kv(&self) -> Result<worker::kv::KvStore, StorageError> {
        self.env.kv("KV").map_err(|e| StorageError::Unavailable(format!("KV: {e}").into()))
    }

    /// The bucket of files.
    pub(super) fn media(&self) -> Result<JsValue, StorageError> {
        let binding = js_sys::Reflect::get(&self.env, &"MEDIA".into()).ok().filter(JsValue::is_object);
        binding.ok_or_else(|| StorageError::Unavailable("MEDIA: no such binding".into()))
    }

    /// The static files of the build.
    pub(super) fn assets(&self) -> Result<worker::Fetcher, StorageError> {
        self.env.assets("ASSETS").map_err(|e| StorageError::Unavailable(format!("ASSETS: {e}").into()))
    }

    /// The namespace of hubs, one object per tenant.
    pub fn hubs(&self) -> Result<worker::ObjectNamespace, StorageError> {
        self.env.durable_object("HUB").map_err(|e| StorageError::Unavailable(format!("HUB: {e}").into()))
    }

    /// The namespace of shields, one object per tenant.
    pub fn shields(&self) -> Result<worker::ObjectNamespace, StorageError> {
        self.env.durable_object("SHIELD").map_err(|e| StorageError::Unavailable(format!("SHIELD: {e}").into()))
    }

    /// The rate limit of requests per client network, if the deployment binds one.
    pub fn address_limit(&self) -> Option<worker::RateLimiter> {
        self.env.rate_limiter("ADDRESS_LIMIT").ok()
    }

    /// The rate limit of failed sign-ins per client network, if the deployment binds one.
    pub fn login_limit(&self) -> Option<worker::RateLimiter> {
        self.env.rate_limiter("LOGIN_LIMIT").ok()
    }
}

/// The runtime's clock. It stands still between two I/O operations of a request, as all clocks of Workers do.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(i64::try_from(Date::now().as_millis()).unwrap_or(i64::MAX))
    }
}
