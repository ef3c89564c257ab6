//! IP addresses, ranges of them (CIDR) for allow-lists, and networks, by which all limits count.
//!
//! Whoever has one address of an IPv6 network usually has all 2^64 of them, so nothing is counted by an address: a bound
//! takes a [`Network`], and nothing but [`Network::of`] makes one.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::Invalid;

/// Most ranges of addresses in a list.
pub const MAX_RANGES: usize = 100;

/// A range of addresses in CIDR form, such as `192.0.2.0/24` or `2001:db8::/32`, or a single address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressRange {
    network: IpAddr,
    prefix: u32,
}

impl AddressRange {
    /// Reads a range. Bits after the prefix must be zero, so that a mistyped range is refused.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let invalid =
            || Invalid::new("invalid_range", "must be an address or a range such as 192.0.2.0/24 or 2001:db8::/32");
        let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let network: IpAddr = address.parse().map_err(|_| invalid())?;
        let width = width(network);
        let prefix = match prefix {
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse().map_err(|_| invalid())?,
            Some(_) => return Err(invalid()),
            None => width,
        };
        if prefix > width || bits(network) & !mask(prefix, width) != 0 {
            return Err(invalid());
        }
        Ok(Self { network, prefix })
    }

    /// Whether an address lies in the range. An IPv4-mapped IPv6 address counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        let (address, width) = (address.to_canonical(), width(self.network));
        width == crate::address::width(address) && bits(address) & mask(self.prefix, width) == bits(self.network)
    }

    /// Whether every address of the range lies in another one.
    pub fn is_within(&self, other: &Self) -> bool {
        self.prefix >= other.prefix && other.contains(self.network)
    }
}

/// Whether an allow-list admits nobody whom another one refuses. An empty list admits everybody.
pub fn is_narrower(ranges: &[String], bound: &[String]) -> bool {
    let parsed = |list: &[String]| list.iter().filter_map(|range| AddressRange::parse(range).ok()).collect::<Vec<_>>();
    let (ranges, bounds) = (parsed(ranges), parsed(bound));
    bound.is_empty()
        || !ranges.is_empty() && ranges.iter().all(|range| bounds.iter().any(|bound| range.is_within(bound)))
}

/// Checks an address or a range; gives it as it was written.
pub fn parse_range(text: &str) -> Result<String, Invalid> {
    AddressRange::parse(text).map(|_| text.to_owned())
}

/// Whether an allow-list admits a client's address. An empty list admits everybody; otherwise one range must contain the
/// address, and text that is not an address is refused.
pub fn is_let_in(ranges: &[String], address: &str) -> bool {
    let Ok(address) = address.parse::<IpAddr>() else { return ranges.is_empty() };
    ranges.is_empty() || ranges.iter().filter_map(|range| AddressRange::parse(range).ok()).any(|r| r.contains(address))
}

/// Where a client is, as far as limits tell clients apart: an IPv4 address, or the /64 of an IPv6 address. An IPv4-mapped
/// IPv6 address is the IPv4 address. All clients without an address are one network.
///
/// In text and in JSON: `192.0.2.7`, `2001:db8:1:2::/64`, or the empty text. Any address is read as its network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Network(Part);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
enum Part {
    #[default]
    Unknown,
    V4(Ipv4Addr),
    /// The upper 64 bits.
    V6(u64),
}

impl Network {
    /// That of all clients without an address.
    pub const UNKNOWN: Self = Self(Part::Unknown);

    /// The network of a client's address, or of a network's own text.
    pub fn of(address: &str) -> Self {
        let address = address.strip_suffix("/64").unwrap_or(address);
        Self(match address.parse::<IpAddr>().map(|address| address.to_canonical()) {
            Ok(IpAddr::V4(v4)) => Part::V4(v4),
            Ok(IpAddr::V6(v6)) => Part::V6(u64::try_from(v6.to_bits() >> 64).unwrap_or_default()),
            Err(_) => Part::Unknown,
        })
    }

    /// Whether the client's address is known.
    pub fn is_known(&self) -> bool {
        self.0 != Part::Unknown
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Part::Unknown => Ok(()),
            Part::V4(v4) => v4.fmt(f),
            Part::V6(upper) => write!(f, "{}/64", Ipv6Addr::from_bits(u128::from(upper) << 64)),
        }
    }
}

impl Serialize for Network {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::of(&String::deserialize(deserializer)?))
    }
}

fn width(address: IpAddr) -> u32 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

fn mask(prefix: u32, width: u32) -> u128 {
    u128::MAX.checked_shl(width - prefix).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;

    #[test]
    fn ranges_contain_what_they_say() {
        for (range, inside, outside) in [
            ("192.0.2.0/24", "192.0.2.255", "192.0.3.0"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.8"),
            ("0.0.0.0/0", "255.1.2.3", "::1"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"),
            ("::/0", "2001:db8::", "10.0.0.1"),
            ("10.0.0.0/8", "::ffff:10.1.2.3", "::ffff:11.1.2.3"),
        ] {
            let range = AddressRange::parse(range).unwrap();
            assert!(range.contains(inside.parse().unwrap()), "{inside}");
            assert!(!range.contains(outside.parse().unwrap()), "{outside}");
        }
        for bad in ["", "192.0.2.1/24", "192.0.2.0/33", "::/129", "a/8", "10.0.0.0/", "10.0.0.0/+8", "10.0.0/8"] {
            assert!(AddressRange::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_empty_list_lets_all_in_and_no_address_is_nowhere() {
        assert!(is_let_in(&[], "") && is_let_in(&[], "10.0.0.1"));
        let list = ["10.0.0.0/8".to_owned()];
        assert!(is_let_in(&list, "10.9.9.9"));
        assert!(!is_let_in(&list, "11.0.0.1") && !is_let_in(&list, "") && !is_let_in(&list, "10.0.0.1, 11.0.0.1"));
    }

    #[test]
    fn a_narrower_list_lets_in_nobody_whom_the_other_refuses() {
        let list = |ranges: &[&str]| ranges.iter().map(|range| (*range).to_owned()).collect::<Vec<_>>();
        let bound = list(&["10.0.0.0/8", "2001:db8::/32"]);
        for narrower in [&["10.1.0.0/16"][..], &["10.0.0.0/8"], &["10.9.9.9", "2001:db8:7::/48"]] {
            assert!(is_narrower(&list(narrower), &bound), "{narrower:?}");
        }
        for wider in [&[][..], &["10.0.0.0/7"], &["11.0.0.1"], &["10.1.1.1", "192.0.2.1"], &["::/0"], &["0.0.0.0/0"]] {
            assert!(!is_narrower(&list(wider), &bound), "{wider:?}");
        }
        assert!(is_narrower(&list(&[]), &[]) && is_narrower(&list(&["10.0.0.1"]), &[]));
    }

    #[test]
    fn an_ipv6_network_is_one_client_and_a_mapped_address_is_the_ipv4_one() {
        for (address, network) in [
            ("192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
            ("2001:0DB8:1:2::9", "2001:db8:1:2::/64"),
            ("::1", "::/64"),
            ("nowhere", ""),
            ("192.0.2.7, 192.0.2.8", ""),
            ("", ""),
        ] {
            assert_eq!(Network::of(address).to_string(), network, "{address}");
        }
        assert_ne!(Network::of("2001:db8:1:2::"), Network::of("2001:db8:1:3::"));
        assert_ne!(Network::of("192.0.2.7"), Network::of("192.0.2.8"));
        assert!(!Network::of("nowhere").is_known() && Network::of("::1").is_known());
    }

    proptest! {
        #[test]
        fn a_networks_text_names_the_same_network(address: u128, v4: u32, host: u64) {
            for text in [Ipv6Addr::from_bits(address).to_string(), Ipv4Addr::from_bits(v4).to_string()] {
                let network = Network::of(&text);
                prop_assert_eq!(Network::of(&network.to_string()), network);
                let json = serde_json::to_string(&network).unwrap();
                prop_assert_eq!(serde_json::from_str::<Network>(&json).unwrap(), network);
            }
            let neighbour = Ipv6Addr::from_bits((address >> 64 << 64) | u128::from(host)).to_string();
            let is_mapped = address >> 64 == 0;
            prop_assert!(is_mapped || Network::of(&neighbour) == Network::of(&Ipv6Addr::from_bits(address).to_string()));
        }

        #[test]
        fn no_text_breaks_the_reader(text in "\\PC{0,40}") {
            let _ = AddressRange::parse(&text);
            let _ = Network::of(&text);
        }

        #[test]
        fn a_longer_prefix_contains_less(address: u32, other: u32, prefix in 0u32..=32) {
            let network = std::net::Ipv4Addr::from(address & u32::try_from(mask(prefix, 32) & 0xffff_ffff).unwrap());
            let range = AddressRange::parse(&format!("{network}/{prefix}")).unwrap();
            let same = prefix == 0 || address >> (32 - prefix) == other >> (32 - prefix);
            prop_assert_eq!(range.contains(IpAddr::V4(other.into())), same);
        }
    }
}
