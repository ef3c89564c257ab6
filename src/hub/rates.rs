//! The tenant's rate limits: one window for each class, and their table.

use std::collections::HashMap;

use super::protocol::Refusal;
use super::protocol::{Lease, RequestClass};
use super::rate_window::{RateClass, RateWindow, SavedWindow, draw};
use super::sqlite::{Sqlite, SqliteError, cells};
use super::state_error::StateError;
use domain::clock::Timestamp;
use domain::plan::{Limit, Limits};
use domain::rate::Rate;

const TABLE: &str = "CREATE TABLE IF NOT EXISTS windows (class TEXT PRIMARY KEY, start INTEGER NOT NULL, count INTEGER NOT NULL) WITHOUT ROWID";

/// The windows. Whatever a method admits is counted and saved when it returns; if saving fails, the memory is not to be
/// used any more.
#[derive(Debug)]
pub struct Rates {
    windows: HashMap<RateClass, RateWindow>,
}

impl Rates {
    /// Creates the table, or reads what was saved before a restart.
    pub fn open(sql: &impl Sqlite) -> Result<Self, SqliteError> {
        sql.execute(TABLE, &[])?;
        let rows = sql.query("SELECT class, start, count FROM windows", &[])?;
        let windows = rows.into_iter().filter_map(|row| {
            let [name, start, count] = cells(row);
            let name = name.into_text()?;
            let class = RateClass::ALL.into_iter().find(|class| class.name() == name)?;
            let saved = SavedWindow { class, start: start.timestamp(), count: count.count() };
            Some((class, RateWindow::restore(saved)))
        });
        Ok(Self { windows: windows.collect() })
    }

    /// Draws a lease of permits for requests.
    pub fn lease(
        &mut self,
        sql: &impl Sqlite,
        class: RequestClass,
        limits: &Limits,
        now: Timestamp,
    ) -> Result<Lease, StateError> {
        let bounds: &[(RateClass, Limit)] = match class {
            RequestClass::Api => &[
                (RateClass::ApiMinute, limits.api_requests_per_minute),
                (RateClass::ApiDay, limits.api_requests_per_day),
            ],
            RequestClass::Anonymous => &[(RateClass::AnonymousMinute, limits.anonymous_requests_per_minute)],
        };
        let mut windows: Vec<_> = bounds.iter().map(|(class, limit)| (self.window(*class), *limit)).collect();
        let mut drawn: Vec<_> = windows.iter_mut().map(|(window, limit)| (window, *limit)).collect();
        let (lease, saves) = draw(&mut drawn, now).map_err(Refusal::RateLimited)?;
        for ((class, _), (window, _)) in bounds.iter().zip(windows) {
            self.windows.insert(*class, window);
        }
        save(sql, &saves)?;
        Ok(lease)
    }

    /// The state of the limit on webhooks.
    pub fn of_webhooks(&self, limits: &Limits, now: Timestamp) -> Rate {
        self.window(RateClass::WebhookMinute).rate(limits.webhooks_per_minute, now)
    }

    /// Counts a webhook, or refuses it.
    pub fn count_webhook(&mut self, sql: &impl Sqlite, limits: &Limits, now: Timestamp) -> Result<Rate, StateError> {
        let limit = limits.webhooks_per_minute;
        let mut window = self.window(RateClass::WebhookMinute);
        if window.remaining(limit, now) == 0 {
            return Err(Refusal::RateLimited(window.rate(limit, now)).into());
        }
        let saved = window.count(limit, 1, now);
        self.windows.insert(RateClass::WebhookMinute, window);
        save(sql, saved.as_slice())?;
        Ok(window.rate(limit, now))
    }

    fn window(&self, class: RateClass) -> RateWindow {
        self.windows.get(&class).copied().unwrap_or_else(|| RateWindow::new(class))
    }
}

fn save(sql: &impl Sqlite, windows: &[SavedWindow]) -> Result<(), SqliteError> {
    for saved in windows {
        sql.execute(
            "INSERT OR REPLACE INTO windows (class, start, count) VALUES (?, ?, ?)",
            &[saved.class.name().into(), saved.start.into(), saved.count.into()],
        )?;
    }
    Ok(())
}
