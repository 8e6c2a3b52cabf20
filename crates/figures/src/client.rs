//! Addresses, and which of them are one client.

use std::net::{IpAddr, Ipv6Addr};

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

    /// What counts as one client: an IPv4 address, or the network of an IPv6 address (64 bits), since whoever has one of
    /// its addresses has them all. Those without an address, on a Unix socket, are one, too, and another one than those in
    /// ::/64, the machine's own.
    pub fn client(self) -> Client {
        // Within 0000::/16 only ::/64 has addresses (RFC 4291 §2.5), so that its other networks can stand for what is no
        // network of IPv6.
        match self {
            Address(0, 0) => Client(2),
            Address(0, low) if low >> 32 == 0xffff => Client(low),
            Address(0, _) => Client(1),
            Address(high, _) => Client(high),
        }
    }
}

/// What counts as one client, in one word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Client(pub u64);

impl Client {
    /// All of its bits, mixed with a board's seed. Every step can be undone, so that no two clients have the same; and every
    /// bit of the client changes about half of the result's.
    pub fn mixed(self, seed: u64) -> u64 {
        let mut mixed = self.0 ^ seed;
        for factor in [0xff51_afd7_ed55_8ccd, 0xc4ce_b9fe_1a85_ec53] {
            mixed = (mixed ^ mixed >> 33).wrapping_mul(factor);
        }
        mixed ^ mixed >> 33
    }

    /// Its address, or its network's first; `None` for those without an address.
    pub fn address(self) -> Option<IpAddr> {
        match self {
            Client(1) => Some(Ipv6Addr::UNSPECIFIED.into()),
            Client(2) => None,
            Client(low) if low >> 32 == 0xffff => Address(0, low).ip(),
            Client(high) => Address(high, 0).ip(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(text: &str) -> Client {
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
    fn who_has_no_address_is_one_client_and_the_machine_itself_another() {
        let unix = Address::new(None).client();
        assert_ne!(unix, client("::1"));
        assert_eq!(client("::1"), client("::2"));
        assert_eq!(client("::1"), client("::127.0.0.1"));
        for other in [
            "127.0.0.1",
            "0.0.0.1",
            "2001:db8::1",
            "64:ff9b::1",
            "fe80::1",
        ] {
            assert_ne!(client(other), unix);
            assert_ne!(client(other), client("::1"));
        }
    }
}
