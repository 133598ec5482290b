//! Addresses of servers, as people write them.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

/// A host and a port: `host`, `host:port`, `[v6]:port`, or an address of either kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// A name or an address, without brackets.
    pub host: String,
    /// The port, if it was named.
    pub port: Option<u16>,
}

impl FromStr for Target {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let port = |digits: &str| {
            let port = digits.parse().ok().filter(|&port: &u16| port > 0);
            port.ok_or_else(|| format!("{digits:?} in {word:?} is no port: 1 to 65535"))
        };
        let (host, port) = match word.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, "")) => (host, None),
            // Without the colon the whole word is taken for digits, and refused.
            Some((host, rest)) => (host, Some(port(rest.strip_prefix(':').unwrap_or(word))?)),
            // More than one colon: a bare IPv6 address.
            None => match word.split_once(':') {
                Some((host, digits)) if !digits.contains(':') => (host, Some(port(digits)?)),
                _ => (word, None),
            },
        };
        if host.is_empty() || host.contains(['/', '[', ']', ' ']) {
            return Err(format!("{word:?} names no host: HOST, HOST:PORT or [IPv6]:PORT"));
        }
        Ok(Self { host: host.to_owned(), port })
    }
}

impl Target {
    /// Looks up the addresses behind the name, IPv4 and IPv6, with `port` if the target names none.
    ///
    /// # Errors
    /// There is no such host.
    pub async fn addresses(&self, port: u16) -> Result<Vec<SocketAddr>, String> {
        let found = tokio::net::lookup_host((self.host.as_str(), self.port.unwrap_or(port))).await;
        match found.map(Iterator::collect::<Vec<_>>) {
            Ok(addresses) if !addresses.is_empty() => Ok(addresses),
            Ok(_) => Err(format!("{}: no such host", self.host)),
            Err(error) => Err(format!("{}: {error}", self.host)),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) if self.host.contains(':') => write!(f, "[{}]:{port}", self.host),
            Some(port) => write!(f, "{}:{port}", self.host),
            None => f.write_str(&self.host),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_hosts_addresses_and_either_with_a_port() {
        let target = |word: &str| word.parse::<Target>().map(|t| (t.host, t.port));
        assert_eq!(target("box"), Ok(("box".into(), None)));
        assert_eq!(target("192.0.2.1:99"), Ok(("192.0.2.1".into(), Some(99))));
        assert_eq!(target("[::1]:1800"), Ok(("::1".into(), Some(1800))));
        assert_eq!(target("[::1]"), Ok(("::1".into(), None)));
        assert_eq!(target("fe80::2"), Ok(("fe80::2".into(), None)));
        for bad in [
            "",
            ":5",
            "box:",
            "box:0",
            "box:65536",
            "[::1]:x",
            "[::1]5",
            "[::1]::5",
            "a/b",
            "[::1",
            "::1]",
            "a b",
            "http://box",
        ] {
            assert!(target(bad).is_err(), "{bad}");
        }
    }
}
