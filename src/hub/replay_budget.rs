//! What strangers' replays may read of the log, by network.
//!
//! A replay reads every event behind its cursor, whichever of them its stream wants, and it can be asked for again and again.
//! So its pages are paid for by the stranger's network; those that it has no budget for wait their turn. Pages of what
//! happened since a stream was opened cost nothing.

use crate::isolate_cache::IsolateCache;
use domain::address::Network;
use domain::clock::Timestamp;
use domain::pace::{Pace, Spacing};

/// Kilobytes of the log that one network may read: 16 MB at once, and 1 MB a second, about a hundredth of the hub's thread.
const KILOBYTES: Spacing = Spacing { millis: 1, at_once: 16 * 1024 };
/// What an event counts for beside its bytes.
const OF_EVENT: u64 = 128;
/// Kilobytes that a page counts for before it is read: the most that one holds, but for a single larger event.
const DEPOSIT: u32 = 256;

/// Most networks that a hub remembers, and for how long: a network's streams cannot owe more.
const MAX_NETWORKS: usize = 4_096;
const REMEMBERED_MILLIS: i64 = 900_000;

/// What networks have read.
pub struct ReplayBudget {
    networks: IsolateCache<Network, Pace>,
}

impl Default for ReplayBudget {
    fn default() -> Self {
        Self { networks: IsolateCache::new(MAX_NETWORKS, REMEMBERED_MILLIS) }
    }
}

impl ReplayBudget {
    /// Takes a page's deposit, and says how many milliseconds the page has to wait.
    pub fn reserve(&mut self, network: Network, now: Timestamp) -> i64 {
        let mut pace = self.pace(network, now);
        let wait = pace.wait(KILOBYTES, now);
        pace.count_many(KILOBYTES, DEPOSIT, now);
        self.networks.insert(network, pace, now);
        wait
    }

    /// Puts what a page was in the place of its deposit.
    pub fn settle(&mut self, network: Network, events: usize, bytes: u64, now: Timestamp) {
        let events = u64::try_from(events).unwrap_or(u64::MAX).saturating_mul(OF_EVENT);
        let read = u32::try_from(bytes.saturating_add(events).div_ceil(1024)).unwrap_or(u32::MAX);
        let mut pace = self.pace(network, now);
        if read > DEPOSIT {
            pace.count_many(KILOBYTES, read - DEPOSIT, now);
        } else {
            pace.give_back(KILOBYTES, DEPOSIT - read);
        }
        self.networks.insert(network, pace, now);
    }

    fn pace(&mut self, network: Network, now: Timestamp) -> Pace {
        self.networks.get(&network, now).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When each of so many pages of `bytes` is sent that one network asks for at once.
    fn sent(budget: &mut ReplayBudget, network: &str, pages: usize, bytes: u64) -> Vec<i64> {
        let (network, now) = (Network::of(network), Timestamp::from_millis(0));
        let reserved: Vec<i64> = (0..pages).map(|_| budget.reserve(network, now)).collect();
        for wait in &reserved {
            budget.settle(network, 1, bytes, now.plus_millis(*wait));
        }
        reserved
    }

    #[test]
    fn a_network_reads_sixteen_megabytes_at_once_and_one_a_second() {
        let mut budget = ReplayBudget::default();
        let pages = sent(&mut budget, "192.0.2.1", 72, 262_000);
        assert_eq!((pages[63], pages[64] > 0, pages[71]), (0, true, 8 * 256 - 255));
        assert_eq!(sent(&mut budget, "192.0.2.2", 1, 262_000), [0], "another network");
    }

    #[test]
    fn a_page_of_little_costs_little_and_a_large_event_its_size() {
        let mut budget = ReplayBudget::default();
        for _ in 0..1_000 {
            assert_eq!(sent(&mut budget, "192.0.2.1", 1, 500), [0]);
        }
        sent(&mut budget, "192.0.2.3", 1, 40_000_000);
        assert!(sent(&mut budget, "192.0.2.3", 1, 1)[0] > 20_000);
    }

    #[test]
    fn what_was_read_is_free_again_in_time() {
        let mut budget = ReplayBudget::default();
        let network = Network::of("192.0.2.1");
        sent(&mut budget, "192.0.2.1", 128, 262_000);
        assert!(budget.reserve(network, Timestamp::from_millis(10_000)) > 0);
        assert_eq!(budget.reserve(network, Timestamp::from_millis(60_000)), 0);
    }
}
