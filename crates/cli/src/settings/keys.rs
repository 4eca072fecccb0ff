//! The names of all settings, and which values each can have.

use std::fmt;
use std::net::SocketAddr;

/// A setting that can be chosen.
#[derive(Debug)]
pub(crate) struct Key {
    /// Its name in the file; the part before the dot is a table.
    pub(crate) name: &'static str,
    /// Which values it can have.
    pub(crate) kind: Kind,
}

/// Which values a setting can have.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    /// An address and a port.
    Address,
    /// A path.
    Folder,
    /// Yes or no.
    Switch,
    /// Names of hosts.
    Hosts,
    /// One of a few words.
    Word(&'static [&'static str]),
    /// A whole number from a range.
    Number {
        /// The smallest.
        min: u64,
        /// The largest.
        max: u64,
    },
}

/// The value of a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    /// Text of any kind.
    Text(String),
    /// Yes or no.
    Switch(bool),
    /// A number.
    Number(u64),
    /// Several texts.
    List(Vec<String>),
}

/// All settings, in the order of the file of defaults. The reasons for the ranges stand there.
pub(crate) const KEYS: &[Key] = &[
    Key { name: "listen", kind: Kind::Address },
    Key { name: "data", kind: Kind::Folder },
    Key { name: "behind_proxy", kind: Kind::Switch },
    Key { name: "public_hosts", kind: Kind::Hosts },
    Key { name: "offline_grace_s", kind: Kind::Number { min: 1, max: 86_400 } },
    Key { name: "drain_delay_s", kind: Kind::Number { min: 0, max: 300 } },
    Key { name: "grace_s", kind: Kind::Number { min: 0, max: 600 } },
    Key { name: "access_log", kind: Kind::Switch },
    Key { name: "log.level", kind: Kind::Word(&["error", "warn", "info", "debug", "trace"]) },
    Key { name: "log.format", kind: Kind::Word(&["json", "text"]) },
    Key { name: "limits.max_connections", kind: Kind::Number { min: 10, max: 100_000 } },
    Key { name: "limits.long_polls_per_token", kind: Kind::Number { min: 1, max: 100_000 } },
    Key { name: "limits.leases_per_token", kind: Kind::Number { min: 1, max: 1_000_000 } },
    Key { name: "limits.leases_per_environment", kind: Kind::Number { min: 1, max: 1_000_000 } },
    Key { name: "retention.datasets_days", kind: DAYS },
    Key { name: "retention.events_days", kind: DAYS },
    Key { name: "retention.sessions_days", kind: DAYS },
];

/// How long something is kept.
const DAYS: Kind = Kind::Number { min: 0, max: 36_500 };

impl Key {
    /// The environment variable of the setting.
    pub(crate) fn variable(&self) -> String {
        format!("SIXPACK_{}", self.name.replace('.', "_").to_uppercase())
    }

    /// The flag of the setting.
    pub(crate) fn flag(&self) -> String {
        format!("--{}", self.name.replace(['.', '_'], "-"))
    }
}

impl Kind {
    /// Reads a value from the text of a flag or a variable.
    pub(crate) fn read(self, text: &str) -> Result<Value, String> {
        let value = match self {
            Self::Switch => match text {
                "true" => Value::Switch(true),
                "false" => Value::Switch(false),
                _ => return Err(self.expected(&quoted(text))),
            },
            Self::Number { .. } => match text.parse() {
                Ok(number) => Value::Number(number),
                Err(_) => return Err(self.expected(&quoted(text))),
            },
            Self::Hosts => Value::List(
                text.split(',').map(str::trim).filter(|host| !host.is_empty()).map(str::to_owned).collect(),
            ),
            Self::Address | Self::Folder | Self::Word(_) => Value::Text(text.to_owned()),
        };
        self.check(value)
    }

    /// Accepts a value that the setting can have, and returns it in its usual form.
    pub(crate) fn check(self, value: Value) -> Result<Value, String> {
        match (self, value) {
            (Self::Address, Value::Text(text)) => match address(&text) {
                Some(_) => Ok(Value::Text(text)),
                None => Err(self.expected(&quoted(&text))),
            },
            (Self::Folder, Value::Text(text)) if !text.trim().is_empty() => Ok(Value::Text(text)),
            (Self::Switch, value @ Value::Switch(_)) => Ok(value),
            (Self::Hosts, Value::List(hosts)) => match hosts.iter().find(|host| !is_host(host)) {
                None => Ok(Value::List(hosts.iter().map(|host| host.to_ascii_lowercase()).collect())),
                Some(wrong) => Err(self.expected(&quoted(wrong))),
            },
            (Self::Word(words), Value::Text(text)) if words.contains(&text.as_str()) => Ok(Value::Text(text)),
            (Self::Number { min, max }, Value::Number(number)) if (min..=max).contains(&number) => {
                Ok(Value::Number(number))
            }
            (_, Value::Text(text)) => Err(self.expected(&quoted(&text))),
            (_, value) => Err(self.expected(&value.to_string())),
        }
    }

    /// Says what is expected in place of what was found.
    pub(crate) fn expected(self, found: &str) -> String {
        match self {
            Self::Address => format!("must be an address and a port like \"127.0.0.1:6776\", not {found}"),
            Self::Folder => format!("must be the path of a folder, not {found}"),
            Self::Switch => format!("must be true or false, not {found}"),
            Self::Hosts => {
                format!(
                    "must be names of hosts like \"sixpack.example.org\" or \"localhost:6776\", not {found}"
                )
            }
            Self::Word(words) => {
                let words: Vec<_> = words.iter().map(|word| quoted(word)).collect();
                format!("must be one of {}, not {found}", words.join(", "))
            }
            Self::Number { min, max } => format!("must be a whole number from {min} to {max}, not {found}"),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Switch(on) => write!(f, "{on}"),
            Self::Number(number) => write!(f, "{number}"),
            Self::List(texts) => write!(f, "[{}]", texts.join(", ")),
        }
    }
}

/// Reads an address; `localhost` is the loopback of IPv4.
pub(crate) fn address(text: &str) -> Option<SocketAddr> {
    let named = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
    named.as_deref().unwrap_or(text).parse().ok()
}

pub(super) fn quoted(text: &str) -> String {
    sixpack_model::text::quoted(text)
}

/// A name or an address, with or without a port.
fn is_host(text: &str) -> bool {
    let (name, port) = match text.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, Some(port)),
        _ => (text, None),
    };
    let bare = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name);
    let allowed = |byte: u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-') || (byte == b':' && bare != name)
    };
    !bare.is_empty()
        && bare.len() <= 253
        && bare.bytes().all(allowed)
        && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_names_or_addresses_with_or_without_a_port() {
        for host in ["localhost", "sixpack.example.org:8443", "10.0.0.1", "[::1]", "[::1]:6776"] {
            assert!(is_host(host), "{host}");
        }
        for text in ["", ":80", "a b", "http://x", "x:0", "x:99999", "x/y", "::1", "a\u{202e}b"] {
            assert!(!is_host(text), "{text}");
        }
    }

    #[test]
    fn an_address_has_a_port() {
        assert_eq!(address("localhost:1").unwrap().to_string(), "127.0.0.1:1");
        assert_eq!(address("[::1]:1").unwrap().to_string(), "[::1]:1");
        for text in ["", "127.0.0.1", ":6776", "example.org:80", "1.2.3.4:99999"] {
            assert_eq!(address(text), None, "{text}");
        }
    }

    #[test]
    fn every_setting_has_one_name_in_each_source() {
        let key = KEYS.iter().find(|key| key.name == "limits.max_connections").unwrap();
        assert_eq!(key.variable(), "SIXPACK_LIMITS_MAX_CONNECTIONS");
        assert_eq!(key.flag(), "--limits-max-connections");
    }
}
