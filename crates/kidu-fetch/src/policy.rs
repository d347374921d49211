//! Which hosts, networks and buckets may be asked.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

/// Which hosts, networks and buckets may be asked. The default asks any host of the public internet and any bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// The hosts that may be asked; empty means all.
    pub hosts: Vec<HostPattern>,
    /// The buckets that may be read; empty means all.
    pub buckets: Vec<String>,
    /// The hosts and networks that may be asked although they are private.
    pub private: Vec<PrivateRule>,
}

/// A host by name: `example.com`, `example.com:8080`, or `*.example.com` for all below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPattern {
    /// In lower case, without `*.` and without brackets.
    name: String,
    below: bool,
    port: Option<u16>,
}

/// What may be asked although it is private.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PrivateRule {
    /// Everything.
    All,
    /// A host, whatever it resolves to.
    Host(HostPattern),
    /// A network: its first address and the number of bits that count.
    Network(IpAddr, u8),
}

impl Policy {
    /// Whether the host may be asked at all.
    pub(crate) fn allows_host(&self, host: &str, port: u16) -> bool {
        self.hosts.is_empty() || self.hosts.iter().any(|p| p.matches(host, port))
    }

    /// Whether the bucket may be read.
    pub(crate) fn allows_bucket(&self, bucket: &str) -> bool {
        self.buckets.is_empty() || self.buckets.iter().any(|b| b == bucket)
    }

    /// Whether the host may be asked at the address that it resolved to.
    pub(crate) fn allows_address(&self, host: &str, port: u16, ip: IpAddr) -> bool {
        is_public(ip)
            || self.private.iter().any(|rule| match rule {
                PrivateRule::All => true,
                PrivateRule::Host(pattern) => pattern.matches(host, port),
                PrivateRule::Network(first, bits) => in_network(ip, *first, *bits),
            })
    }
}

impl HostPattern {
    /// One host and port.
    pub(crate) fn exactly(host: &str, port: u16) -> Self {
        Self { name: plain(host), below: false, port: Some(port) }
    }

    fn matches(&self, host: &str, port: u16) -> bool {
        let host = plain(host);
        let named = match (self.below, host.strip_suffix(self.name.as_str())) {
            (true, Some(head)) => head.ends_with('.'),
            (true, None) => false,
            (false, _) => host == self.name,
        };
        named && self.port.is_none_or(|p| p == port)
    }
}

/// Lower case, without the brackets of an IPv6 address and without the dot of a full name.
fn plain(host: &str) -> String {
    host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.').to_ascii_lowercase()
}

impl FromStr for HostPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("'{text}' is not a host; write example.com, example.com:8080 or *.example.com");
        let (below, rest) = text.trim().strip_prefix("*.").map_or((false, text.trim()), |r| (true, r));
        let (name, port) = if rest.parse::<Ipv6Addr>().is_ok() {
            (rest, None)
        } else {
            match rest.rsplit_once(':') {
                Some((name, port)) => (name, Some(port.parse().map_err(|_| bad())?)),
                None => (rest, None),
            }
        };
        let name = plain(name);
        let usable = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
        if name.is_empty() || !name.chars().all(usable) {
            return Err(bad());
        }
        Ok(Self { name, below, port })
    }
}

impl FromStr for PrivateRule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "all" {
            return Ok(Self::All);
        }
        let Some((address, bits)) = text.split_once('/') else { return text.parse().map(Self::Host) };
        let bad = || format!("'{text}' is not a network; write it as 10.0.0.0/8 or fd00::/8");
        let address: IpAddr = address.parse().map_err(|_| bad())?;
        let bits: u8 = bits.parse().map_err(|_| bad())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        if bits > most { Err(bad()) } else { Ok(Self::Network(address, bits)) }
    }
}

fn in_network(ip: IpAddr, first: IpAddr, bits: u8) -> bool {
    match (ip, first) {
        (IpAddr::V4(a), IpAddr::V4(b)) => v4_in(a, b, bits),
        (IpAddr::V6(a), IpAddr::V6(b)) => v6_in(a, b, bits),
        (IpAddr::V6(a), IpAddr::V4(b)) => a.to_ipv4_mapped().is_some_and(|a| v4_in(a, b, bits)),
        (IpAddr::V4(_), IpAddr::V6(_)) => false,
    }
}

fn v4_in(a: Ipv4Addr, b: Ipv4Addr, bits: u8) -> bool {
    let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
    (a.to_bits() ^ b.to_bits()) & mask == 0
}

fn v6_in(a: Ipv6Addr, b: Ipv6Addr, bits: u8) -> bool {
    let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
    (a.to_bits() ^ b.to_bits()) & mask == 0
}

/// Networks of IPv4 that are not part of the public internet (IANA's registry of special-purpose addresses, RFC 6890
/// and its updates), multicast and reserved ones among them.
const SPECIAL_V4: [([u8; 4], u8); 15] = [
    ([0, 0, 0, 0], 8),
    ([10, 0, 0, 0], 8),
    ([100, 64, 0, 0], 10),
    ([127, 0, 0, 0], 8),
    ([169, 254, 0, 0], 16),
    ([172, 16, 0, 0], 12),
    ([192, 0, 0, 0], 24),
    ([192, 0, 2, 0], 24),
    ([192, 88, 99, 0], 24),
    ([192, 168, 0, 0], 16),
    ([198, 18, 0, 0], 15),
    ([198, 51, 100, 0], 24),
    ([203, 0, 113, 0], 24),
    ([224, 0, 0, 0], 4),
    ([240, 0, 0, 0], 4),
];

/// Of IPv6 only 2000::/3 is given out; within it these are special: documentation and Teredo, whose inner address lies
/// deeper, and others of 2001::/23.
const SPECIAL_V6: [(u128, u8); 3] = [(0x2001 << 112, 23), (0x2001_0db8 << 96, 32), (0x3fff << 112, 20)];

/// Whether an address belongs to the public internet. An IPv6 address that carries an IPv4 one is judged by that.
pub(crate) fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => !SPECIAL_V4.iter().any(|(first, bits)| v4_in(ip, Ipv4Addr::from(*first), *bits)),
        IpAddr::V6(ip) => match carried_v4(ip) {
            Some(inner) => is_public(IpAddr::V4(inner)),
            None => {
                v6_in(ip, Ipv6Addr::from_bits(0x2000 << 112), 3)
                    && !SPECIAL_V6.iter().any(|(first, bits)| v6_in(ip, Ipv6Addr::from_bits(*first), *bits))
            }
        },
    }
}

/// The IPv4 address in `::ffff:a.b.c.d`, NAT64's `64:ff9b::a.b.c.d` and 6to4's `2002:aabb:ccdd::`.
fn carried_v4(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let bits = ip.to_bits();
    if v6_in(ip, Ipv6Addr::from_bits(0x0064_ff9b << 96), 96) {
        return Some(Ipv4Addr::from_bits(bits as u32));
    }
    if v6_in(ip, Ipv6Addr::from_bits(0x2002 << 112), 16) {
        return Some(Ipv4Addr::from_bits((bits >> 80) as u32));
    }
    ip.to_ipv4_mapped()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_and_reserved_addresses_are_known() {
        for ip in [
            "127.0.0.1",
            "10.1.2.3",
            "172.31.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.100.100.200",
            "0.0.0.0",
            "255.255.255.255",
            "224.0.0.1",
            "198.19.0.1",
            "::1",
            "::",
            "fe80::1",
            "fd00::1",
            "::ffff:127.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "2001:db8::1",
            "2001::1",
            "ff02::1",
            "::127.0.0.1",
            "64:ff9b:1::1",
            "fec0::1",
            "100::1",
        ] {
            assert!(!is_public(ip.parse().unwrap()), "{ip}");
        }
        for ip in ["8.8.8.8", "1.1.1.1", "172.32.0.1", "192.0.1.1", "2606:4700:4700::1111", "64:ff9b::808:808"] {
            assert!(is_public(ip.parse().unwrap()), "{ip}");
        }
    }

    #[test]
    fn hosts_match_by_name_and_port() {
        let pattern = |text: &str| text.parse::<HostPattern>().unwrap();
        assert!(pattern("Example.com").matches("example.COM.", 443));
        assert!(!pattern("example.com").matches("a.example.com", 443));
        assert!(pattern("*.example.com").matches("a.example.com", 443));
        assert!(!pattern("*.example.com").matches("example.com", 443));
        assert!(!pattern("*.example.com").matches("badexample.com", 443));
        assert!(pattern("minio:9000").matches("minio", 9000) && !pattern("minio:9000").matches("minio", 80));
        assert!(pattern("[::1]:80").matches("[::1]", 80) && pattern("::1").matches("[::1]", 81));
        for bad in ["", "a b", "a:x", "http://a", "*.", "a/b"] {
            assert!(bad.parse::<HostPattern>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_rule_opens_no_more_than_it_says() {
        let policy = |rule: &str| Policy { private: vec![rule.parse().unwrap()], ..Policy::default() };
        let local: IpAddr = "127.0.0.1".parse().unwrap();
        assert!(!Policy::default().allows_address("localhost", 80, local));
        assert!(policy("localhost").allows_address("localhost", 80, local));
        assert!(!policy("127.0.0.1").allows_address("localhost", 80, local));
        assert!(policy("127.0.0.0/8").allows_address("localhost", 80, local));
        assert!(!policy("10.0.0.0/8").allows_address("localhost", 80, local));
        assert!(policy("all").allows_address("x", 80, local));
        assert!(policy("0.0.0.0/0").allows_address("x", 80, local));
        for bad in ["10.0.0.0/33", "10/8", "x/8", "::/129"] {
            assert!(bad.parse::<PrivateRule>().is_err(), "{bad}");
        }
    }
}
