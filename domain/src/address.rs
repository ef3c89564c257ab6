//! IP addresses and ranges of them (CIDR), for allow-lists and limits per network.

use std::net::IpAddr;

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

/// The network of a client's address, by which limits count: an IPv4 address itself, the /64 of an IPv6 address.
pub fn network(address: &str) -> String {
    match address.parse::<IpAddr>().map(|address| address.to_canonical()) {
        Ok(IpAddr::V6(v6)) => std::net::Ipv6Addr::from_bits(v6.to_bits() & mask(64, 128)).to_string(),
        Ok(v4) => v4.to_string(),
        Err(_) => address.to_owned(),
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

    #[test]
    fn an_ipv6_network_is_one_somebody() {
        assert_eq!(network("192.0.2.7"), "192.0.2.7");
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(network("2001:db8:1:2::9"), network("2001:db8:1:2:3:4:5:6"));
        assert_eq!(network("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(network("nowhere"), "nowhere");
    }
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

    proptest! {
        #[test]
        fn no_text_breaks_the_reader(text in "\\PC{0,40}") {
            let _ = AddressRange::parse(&text);
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
