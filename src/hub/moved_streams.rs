//! How a hub carries its streams, and the streams whose clients were told to come back, so that it carries them the other way.

use super::protocol::Basis;
use super::sockets::Carriage;
use domain::address::Network;
use domain::clock::Timestamp;
use domain::selector::Interest;

/// Fewest streams that change in a step.
pub const LEAST_STEP: u64 = 4;
/// How long the place of a stream is kept that is on the way. Its client comes back within two seconds.
pub const RETURN_MILLIS: i64 = 10_000;

/// How the hub carries its streams now, and which are on the way.
#[derive(Debug)]
pub struct Carrying {
    /// How new streams are carried, where their Worker can.
    pub chosen: Carriage,
    /// How many streams change in a step.
    pub step: u64,
    pub moved: Vec<Moved>,
}

/// A stream whose client was told to come back.
#[derive(Debug)]
pub struct Moved {
    pub network: Network,
    pub interest: Interest,
    pub basis: Basis,
    /// Its name in subscription events.
    pub subscriber: Option<String>,
    pub at: Timestamp,
}

impl Moved {
    /// Its name in subscription events, for a stream that asks for the same by the same right.
    pub fn subscriber_of(self, interest: &Interest, basis: &Basis) -> Option<String> {
        let is_same = self.interest.selected == interest.selected && self.basis.grantor == basis.grantor;
        self.subscriber.filter(|_| is_same)
    }
}

impl Default for Carrying {
    fn default() -> Self {
        Self { chosen: Carriage::Bridged, step: LEAST_STEP, moved: Vec::new() }
    }
}

impl Carrying {
    /// How many places are kept, and how many of them for a network.
    pub fn places(&self, network: Network) -> (u64, u64) {
        let of_network = self.moved.iter().filter(|moved| moved.network == network).count();
        (self.moved.len() as u64, of_network as u64)
    }

    /// Takes the place of a stream of this network, of one that asked for the same if there is one.
    pub fn take(&mut self, network: Network, interest: &Interest) -> Option<Moved> {
        let is_of_network = |one: &Moved| one.network == network;
        let is_same = |one: &Moved| is_of_network(one) && one.interest.selected == interest.selected;
        let at = self.moved.iter().position(is_same).or_else(|| self.moved.iter().position(is_of_network))?;
        Some(self.moved.swap_remove(at))
    }

    /// Gives up the places of those who did not come back.
    pub fn forget_late(&mut self, now: Timestamp) {
        self.moved.retain(|moved| now.since(moved.at) < RETURN_MILLIS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::selector::Selector;

    fn moved(address: &str, topic: &str, subscriber: &str) -> Moved {
        Moved {
            network: Network::of(address),
            interest: interest(topic),
            basis: Basis::default(),
            subscriber: Some(subscriber.into()),
            at: Timestamp::from_millis(0),
        }
    }

    fn interest(topic: &str) -> Interest {
        Interest { selected: vec![Selector::parse(topic).unwrap()], ..Interest::default() }
    }

    #[test]
    fn a_network_has_its_own_places_back_and_a_stream_its_name_if_it_asks_for_the_same() {
        let both = vec![moved("192.0.2.1", "a", "urn:a"), moved("192.0.2.1", "b", "urn:b")];
        let mut carrying = Carrying { moved: both, ..Carrying::default() };
        let network = Network::of("192.0.2.1");
        assert_eq!(carrying.places(network), (2, 2));
        assert_eq!(carrying.places(Network::of("192.0.2.2")), (2, 0));
        assert!(carrying.take(Network::of("192.0.2.2"), &interest("a")).is_none());
        let back = carrying.take(network, &interest("b")).unwrap();
        assert_eq!(back.subscriber_of(&interest("b"), &Basis::default()).as_deref(), Some("urn:b"));
        let other = carrying.take(network, &interest("c")).unwrap();
        assert_eq!(other.subscriber_of(&interest("c"), &Basis::default()), None, "another stream of the network");
        assert!(carrying.take(network, &interest("a")).is_none());
    }

    #[test]
    fn a_place_is_kept_for_ten_seconds() {
        let mut carrying = Carrying { moved: vec![moved("192.0.2.1", "a", "urn:a")], ..Carrying::default() };
        carrying.forget_late(Timestamp::from_millis(RETURN_MILLIS - 1));
        assert_eq!(carrying.moved.len(), 1);
        carrying.forget_late(Timestamp::from_millis(RETURN_MILLIS));
        assert!(carrying.moved.is_empty());
    }
}
