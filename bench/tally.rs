//! What an audience received in one round: how much, how late, in which order.

use hdrhistogram::Histogram;

use crate::Result;
use crate::mark::Mark;

/// A round's events: numbers `first .. first + count`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Round {
    pub first: u32,
    pub count: u32,
}

impl Round {
    fn index(self, number: u32) -> Option<u32> {
        number.checked_sub(self.first).filter(|index| *index < self.count)
    }
}

/// One subscriber's round.
#[derive(Clone, Default)]
struct Receipt {
    seen: Vec<u64>,
    distinct: u32,
    /// Depends on the order of arrival: equal for two subscribers only if they saw one order.
    order: u64,
}

/// The receipts of a group of subscribers, and their latencies by quarter of the round.
pub struct Tally {
    round: Round,
    receipts: Vec<Receipt>,
    latencies: Vec<Histogram<u64>>,
    repeated: u64,
    strays: u64,
}

const QUARTERS: u32 = 4;
const LONGEST_MICROS: u64 = 600_000_000;

/// A histogram of microseconds, to three digits, up to ten minutes.
pub fn histogram() -> Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1, LONGEST_MICROS, 3)?)
}

impl Tally {
    pub fn new(subscribers: usize) -> Result<Self> {
        Ok(Self {
            round: Round::default(),
            receipts: vec![Receipt::default(); subscribers],
            latencies: (0..QUARTERS).map(|_| histogram()).collect::<Result<_>>()?,
            repeated: 0,
            strays: 0,
        })
    }

    /// Forgets the last round and expects this one.
    pub fn expect(&mut self, round: Round) {
        self.round = round;
        let words = (round.count as usize).div_ceil(64);
        for receipt in &mut self.receipts {
            *receipt = Receipt { seen: vec![0; words], ..Receipt::default() };
        }
        self.latencies.iter_mut().for_each(Histogram::reset);
        (self.repeated, self.strays) = (0, 0);
    }

    /// Notes an arrival at `now`; true if it is the first of its event at this subscriber.
    pub fn note(&mut self, subscriber: usize, mark: Mark, now: u64) -> bool {
        let Some(index) = self.round.index(mark.number) else {
            self.strays += 1;
            return false;
        };
        let Some(receipt) = self.receipts.get_mut(subscriber) else {
            return false;
        };
        let Some(word) = receipt.seen.get_mut(index as usize / 64) else {
            return false;
        };
        let bit = 1 << (index % 64);
        if *word & bit != 0 {
            self.repeated += 1;
            return false;
        }
        *word |= bit;
        receipt.distinct += 1;
        receipt.order = (receipt.order.rotate_left(5) ^ u64::from(index + 1)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let quarter = (u64::from(index) * u64::from(QUARTERS) / u64::from(self.round.count)) as usize;
        if let Some(latencies) = self.latencies.get_mut(quarter) {
            latencies.saturating_record((now.saturating_sub(mark.sent) / 1_000).max(1));
        }
        true
    }
}

/// A round, over all subscribers.
pub struct Outcome {
    pub expected: u64,
    pub delivered: u64,
    pub repeated: u64,
    /// Events of an earlier round that came late.
    pub strays: u64,
    /// Whether all subscribers that received everything received it in one order.
    pub one_order: bool,
    all: Histogram<u64>,
    quarters: Vec<Histogram<u64>>,
}

impl Outcome {
    /// Sums up the groups of one audience.
    pub fn of<'a>(tallies: impl Iterator<Item = &'a Tally>) -> Result<Self> {
        let mut outcome = Self {
            expected: 0,
            delivered: 0,
            repeated: 0,
            strays: 0,
            one_order: true,
            all: histogram()?,
            quarters: (0..QUARTERS).map(|_| histogram()).collect::<Result<_>>()?,
        };
        let mut order = None;
        for tally in tallies {
            outcome.expected += tally.receipts.len() as u64 * u64::from(tally.round.count);
            outcome.repeated += tally.repeated;
            outcome.strays += tally.strays;
            for receipt in &tally.receipts {
                outcome.delivered += u64::from(receipt.distinct);
                if receipt.distinct == tally.round.count {
                    outcome.one_order &= *order.get_or_insert(receipt.order) == receipt.order;
                }
            }
            for (sum, latencies) in outcome.quarters.iter_mut().zip(&tally.latencies) {
                sum.add(latencies)?;
                outcome.all.add(latencies)?;
            }
        }
        Ok(outcome)
    }

    /// Latency at a quantile, in milliseconds.
    pub fn latency(&self, quantile: f64) -> f64 {
        self.all.value_at_quantile(quantile) as f64 / 1_000.0
    }

    /// The longest latency, in milliseconds.
    pub fn longest(&self) -> f64 {
        self.all.max() as f64 / 1_000.0
    }

    /// Median latency of the events of the first and of the last quarter, in milliseconds.
    pub fn drift(&self) -> (f64, f64) {
        let median = |quarter: Option<&Histogram<u64>>| {
            quarter.map_or(0.0, |latencies| latencies.value_at_quantile(0.5) as f64 / 1_000.0)
        };
        (median(self.quarters.first()), median(self.quarters.last()))
    }
}
