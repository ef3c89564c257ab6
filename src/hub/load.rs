//! How busy a hub is: what it delivered in the last minute, and what it cost.
//!
//! A hub that sleeps forgets it, as it was not busy.

use domain::clock::Timestamp;

/// The time that is looked at, and the slices it is counted in.
const SLICES: usize = 12;
const SLICE_MILLIS: i64 = 5_000;
const SECONDS: u64 = 60;

/// Deliveries per second from which on a hub is busy.
const BUSY_DELIVERIES: u64 = 500;
/// Milliseconds of an average fan-out from which on it is, where there is one each second.
const BUSY_COST_MILLIS: i64 = 20;
/// It is quiet again below this part of both.
const QUIET_PART: u64 = 3;

#[derive(Debug, Clone, Copy, Default)]
struct Slice {
    number: i64,
    deliveries: u64,
    fan_outs: u64,
    cost_millis: i64,
}

/// The load of the last minute.
#[derive(Debug, Default)]
pub struct Load([Slice; SLICES]);

/// What a hub's load says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoadLevel {
    Quiet,
    /// Neither: what was chosen stays.
    Between,
    Busy,
}

impl Load {
    /// Counts what a fan-out delivered.
    pub fn delivered(&mut self, messages: u64, now: Timestamp) {
        if let Some(slice) = self.slice(now) {
            slice.deliveries += messages;
        }
    }

    /// Counts a fan-out that has ended, and what it cost.
    pub fn fanned_out(&mut self, cost_millis: i64, now: Timestamp) {
        if let Some(slice) = self.slice(now) {
            slice.fan_outs += 1;
            slice.cost_millis += cost_millis.max(0);
        }
    }

    pub fn level(&self, now: Timestamp) -> LoadLevel {
        let oldest = slice_number(now) - SLICES as i64;
        let recent = self.0.iter().filter(|slice| slice.number > oldest);
        let (mut deliveries, mut fan_outs, mut cost_millis) = (0, 0, 0);
        for slice in recent {
            deliveries += slice.deliveries;
            fan_outs += slice.fan_outs;
            cost_millis += slice.cost_millis;
        }
        let is_dear = |millis: i64| fan_outs >= SECONDS && cost_millis >= millis.saturating_mul(fan_outs.cast_signed());
        if deliveries >= BUSY_DELIVERIES * SECONDS || is_dear(BUSY_COST_MILLIS) {
            return LoadLevel::Busy;
        }
        let is_quiet = deliveries < BUSY_DELIVERIES * SECONDS / QUIET_PART
            && !is_dear(BUSY_COST_MILLIS / QUIET_PART.cast_signed());
        if is_quiet { LoadLevel::Quiet } else { LoadLevel::Between }
    }

    fn slice(&mut self, now: Timestamp) -> Option<&mut Slice> {
        let number = slice_number(now);
        let slice = self.0.get_mut(usize::try_from(number.rem_euclid(SLICES as i64)).ok()?)?;
        if slice.number != number {
            *slice = Slice { number, ..Slice::default() };
        }
        Some(slice)
    }
}

fn slice_number(now: Timestamp) -> i64 {
    now.millis().div_euclid(SLICE_MILLIS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(1_000_000_000 + seconds * 1000)
    }

    #[test]
    fn a_minute_of_deliveries_makes_a_hub_busy_and_a_third_of_it_quiet() {
        let mut load = Load::default();
        assert_eq!(load.level(at(0)), LoadLevel::Quiet);
        for second in 0..59 {
            load.delivered(500, at(second));
        }
        assert_eq!(load.level(at(58)), LoadLevel::Between);
        load.delivered(500, at(59));
        assert_eq!(load.level(at(59)), LoadLevel::Busy);
        assert_eq!(load.level(at(64)), LoadLevel::Between, "a slice is over");
        assert_eq!(load.level(at(105)), LoadLevel::Quiet);
        assert_eq!(load.level(at(10_000)), LoadLevel::Quiet);
    }

    #[test]
    fn one_event_in_nine_seconds_is_no_load_however_many_listen() {
        let mut load = Load::default();
        for event in 0..100 {
            load.delivered(1_000, at(event * 9));
            load.fanned_out(400, at(event * 9));
            assert_ne!(load.level(at(event * 9)), LoadLevel::Busy);
        }
        assert_eq!(load.level(at(899)), LoadLevel::Quiet);
    }

    #[test]
    fn dear_fan_outs_make_a_hub_busy_where_there_is_one_each_second() {
        let mut load = Load::default();
        for second in 0..60 {
            load.fanned_out(20, at(second));
        }
        assert_eq!(load.level(at(59)), LoadLevel::Busy);
        let mut cheap = Load::default();
        for second in 0..60 {
            cheap.fanned_out(5, at(second));
        }
        assert_eq!(cheap.level(at(59)), LoadLevel::Quiet);
        cheap.fanned_out(1_000, at(59));
        assert_eq!(cheap.level(at(59)), LoadLevel::Busy, "the average counts");
    }
}
