//! Refresh tokens of one session: a chain, of which only the newest is not spent.
//!
//! Each token is spent once, and puts the next one in its place. A spent token that is presented again within its grace
//! gets the newest of the chain, not the one that followed it, which may be spent too: so however many tabs present
//! whatever they hold, they end up with one token. Presented later, two hold it, and one of them stole it (RFC 9700,
//! 4.14).

use crate::clock::Timestamp;

/// How long a spent token still gets the newest one, in milliseconds, counted for each token from when it was spent.
pub const GRACE_MILLIS: i64 = 10_000;

/// What becomes of a token that is presented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefreshVerdict {
    /// It was not spent: it is spent now, and the next one is made.
    Spend,
    /// It was spent a moment ago: it gets the newest one.
    Newest,
    /// It was spent before: the session ends.
    Reused,
}

/// Judges a token by when it was spent, if it was.
pub fn judge(spent_at: Option<Timestamp>, now: Timestamp) -> RefreshVerdict {
    match spent_at {
        None => RefreshVerdict::Spend,
        Some(at) if now.since(at) <= GRACE_MILLIS => RefreshVerdict::Newest,
        Some(_) => RefreshVerdict::Reused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A session as the server has it: when each token of the chain was spent.
    struct Session {
        spent: Vec<Option<i64>>,
        ended: bool,
    }

    impl Session {
        /// Presents a token; the token that comes back, none if the session has ended.
        fn present(&mut self, token: usize, now: i64) -> Option<usize> {
            if self.ended {
                return None;
            }
            let at = Timestamp::from_millis;
            match judge(self.spent[token].map(at), at(now)) {
                RefreshVerdict::Spend => {
                    self.spent[token] = Some(now);
                    self.spent.push(None);
                }
                RefreshVerdict::Newest => {}
                RefreshVerdict::Reused => self.ended = true,
            }
            (!self.ended).then(|| self.spent.len() - 1)
        }
    }

    #[test]
    fn the_grace_is_counted_from_when_a_token_was_spent() {
        let at = Timestamp::from_millis;
        assert_eq!(judge(None, at(5)), RefreshVerdict::Spend);
        assert_eq!(judge(Some(at(5)), at(5 + GRACE_MILLIS)), RefreshVerdict::Newest);
        assert_eq!(judge(Some(at(5)), at(6 + GRACE_MILLIS)), RefreshVerdict::Reused);
        assert_eq!(judge(Some(at(5)), at(4)), RefreshVerdict::Newest, "clocks of two isolates differ");
    }

    proptest! {
        /// Tabs that share a session: each presents what it holds, some answers are lost, some tabs are slow. As long as
        /// nobody presents a token longer than the grace after it was spent, the session goes on, exactly one token is
        /// not spent, and each answer is that one.
        #[test]
        fn tabs_within_the_grace_end_up_with_one_token(
            acts in proptest::collection::vec((0usize..4, 0i64..4_000, any::<bool>()), 1..80),
        ) {
            let mut session = Session { spent: vec![None], ended: false };
            let (mut held, mut now) = ([0usize; 4], 0);
            for (tab, wait, is_lost) in acts {
                now += wait;
                // Whoever waited too long reads what another tab stored, as pages that share a storage do.
                let late = session.spent[held[tab]].is_some_and(|at| now - at > GRACE_MILLIS);
                let token = if late { session.spent.len() - 1 } else { held[tab] };
                let answer = session.present(token, now);
                prop_assert_eq!(answer, Some(session.spent.len() - 1), "the newest one");
                prop_assert_eq!(session.spent.iter().filter(|spent| spent.is_none()).count(), 1);
                if !is_lost {
                    held[tab] = answer.unwrap();
                }
            }
        }

        /// A thief who took any token of the chain ends the session with it once its grace is over, whatever the others
        /// did meanwhile.
        #[test]
        fn a_token_that_comes_after_its_grace_ends_the_session(
            waits in proptest::collection::vec(0i64..900_000, 1..20), stolen: prop::sample::Index, late in 1i64..1_000_000,
        ) {
            let mut session = Session { spent: vec![None], ended: false };
            let mut now = 0;
            for wait in &waits {
                now += wait;
                prop_assert!(session.present(session.spent.len() - 1, now).is_some());
            }
            let token = stolen.index(waits.len());
            let at = session.spent[token].unwrap() + GRACE_MILLIS + late;
            let is_reused = at >= now;
            prop_assert!(!is_reused || session.present(token, at).is_none());
            prop_assert!(!is_reused || session.present(session.spent.len() - 1, at).is_none(), "for everybody");
        }
    }
}
