//! Clients, and how many connections each has.

use std::net::{IpAddr, Ipv6Addr};

use crate::layout::BUCKETS;

/// An address as an entry holds it: 16 bytes, IPv4 as IPv4-mapped; zero when nobody knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Address(pub u64, pub u64);

impl Address {
    pub fn new(address: Option<IpAddr>) -> Address {
        let bits = match address {
            Some(IpAddr::V4(address)) => address.to_ipv6_mapped().to_bits(),
            Some(IpAddr::V6(address)) => address.to_bits(),
            None => 0,
        };
        Address((bits >> 64) as u64, bits as u64)
    }

    pub fn ip(self) -> Option<IpAddr> {
        let bits = u128::from(self.0) << 64 | u128::from(self.1);
        (bits != 0).then(|| Ipv6Addr::from_bits(bits).to_canonical())
    }

    /// What counts as one client: an IPv4 address, or the network of an IPv6 address (64 bits), since whoever has
    /// one of its addresses has them all.
    pub fn client(self) -> Address {
        let is_v4 = self.0 == 0 && self.1 >> 32 == 0xffff;
        match is_v4 {
            true => self,
            false => Address(self.0, 0),
        }
    }

    /// The bucket of this client.
    pub fn bucket(self, seed: u64) -> usize {
        let Address(high, low) = self.client();
        // A murmur of both halves: every bit of the result depends on every bit of the address.
        let mixed = [high, low].into_iter().fold(seed, |hash, half| {
            let hash = (hash ^ half).wrapping_mul(0xff51_afd7_ed55_8ccd);
            (hash ^ hash >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53) ^ hash >> 29
        });
        (mixed ^ mixed >> 32) as usize % BUCKETS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(text: &str) -> Address {
        Address::new(Some(text.parse().unwrap())).client()
    }

    #[test]
    fn an_address_comes_back_as_it_was() {
        for text in ["127.0.0.1", "2001:db8::1", "::1", "255.255.255.255"] {
            let ip: IpAddr = text.parse().unwrap();
            assert_eq!(Address::new(Some(ip)).ip(), Some(ip));
        }
        assert_eq!(Address::new(None).ip(), None);
    }

    #[test]
    fn a_client_is_an_ipv4_address_or_an_ipv6_network() {
        assert_ne!(client("192.0.2.1"), client("192.0.2.2"));
        assert_eq!(client("192.0.2.1"), client("::ffff:192.0.2.1"));
        assert_eq!(client("2001:db8:0:1::1"), client("2001:db8:0:1:ffff::2"));
        assert_ne!(client("2001:db8:0:1::1"), client("2001:db8:0:2::1"));
    }

    #[test]
    fn neighbours_are_in_different_buckets() {
        let bucket = |text: &str| client(text).bucket(7);
        assert_ne!(bucket("192.0.2.1"), bucket("192.0.2.2"));
        assert_ne!(bucket("2001:db8:0:1::1"), bucket("2001:db8:0:2::1"));
        assert_eq!(bucket("2001:db8:0:1::1"), bucket("2001:db8:0:1::2"));
    }
}
