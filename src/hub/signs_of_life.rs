//! At a limit the hub asks its bridges for a sign of life, so that clients that have gone make room before a newcomer is refused.
//!
//! A runtime tells of a client that has gone only when something is written to it. So each bridge that is asked writes a
//! comment to its client; the bridge of one that has gone then closes its socket.

use domain::clock::Timestamp;

/// What a bridge is asked with (`live/bridge.js`).
pub const QUESTION: &str = "alive?";

/// How long bridges have to answer.
const ANSWER_MILLIS: i64 = 500;
/// The least time between two questions: many newcomers at a limit cost no more than one.
const PAUSE_MILLIS: i64 = 3_000;

/// When the bridges were asked last.
#[derive(Debug, Default)]
pub struct SignsOfLife {
    asked_at: Option<Timestamp>,
}

/// What a newcomer at a limit may wait for.
#[derive(Debug, PartialEq, Eq)]
pub enum Room {
    /// The bridges are to be asked now; their answers take so many milliseconds.
    Ask(i64),
    /// They were asked a moment ago, and have so many milliseconds left.
    Wait(i64),
    /// They have answered lately: there is no room.
    None,
}

impl SignsOfLife {
    /// What a newcomer who comes now may wait for.
    pub fn room(&mut self, now: Timestamp) -> Room {
        let passed = self.asked_at.map(|at| now.since(at)).filter(|passed| (0..PAUSE_MILLIS).contains(passed));
        match passed {
            None => {
                self.asked_at = Some(now);
                Room::Ask(ANSWER_MILLIS)
            }
            Some(passed) if passed < ANSWER_MILLIS => Room::Wait(ANSWER_MILLIS - passed),
            Some(_) => Room::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bridges_are_asked_once_however_many_come() {
        let mut signs = SignsOfLife::default();
        let mut room = |millis| signs.room(Timestamp::from_millis(millis));
        assert_eq!([room(0), room(1), room(499)], [Room::Ask(500), Room::Wait(499), Room::Wait(1)]);
        assert_eq!([room(500), room(2_999)], [Room::None, Room::None]);
        assert_eq!([room(3_000), room(3_100)], [Room::Ask(500), Room::Wait(400)]);
        assert_eq!(room(0), Room::Ask(500), "a clock that stepped back");
    }
}
