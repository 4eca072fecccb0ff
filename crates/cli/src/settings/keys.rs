//! The names of all settings, and which values each can have.

use std::fmt;
use std::net::SocketAddr;

use sixpack_storage::postgres::Address;

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
    /// An address and a port, or nothing.
    AddressOrNone,
    /// A path.
    Folder,
    /// A path, or nothing.
    File,
    /// The word for SQLite, or the address of a PostgreSQL store. Never repeated: it may hold a password.
    Store,
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
    /// The address of a database; its password is not shown.
    Database(String),
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
    Key { name: "store", kind: Kind::Store },
    Key { name: "store_password_file", kind: Kind::File },
    Key { name: "migrate", kind: Kind::Switch },
    Key { name: "behind_proxy", kind: Kind::Switch },
    Key { name: "public_hosts", kind: Kind::Hosts },
    Key { name: "metrics_listen", kind: Kind::AddressOrNone },
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
            Self::Address | Self::AddressOrNone | Self::Folder | Self::File | Self::Store | Self::Word(_) => {
                Value::Text(text.to_owned())
            }
        };
        self.check(value)
    }

    /// Accepts a value that the setting can have, and returns it in its usual form.
    pub(crate) fn check(self, value: Value) -> Result<Value, String> {
        match (self, value) {
            (Self::AddressOrNone, Value::Text(text)) if text.is_empty() => Ok(Value::Text(text)),
            (Self::Address | Self::AddressOrNone, Value::Text(text)) => match address(&text) {
                Some(_) => Ok(Value::Text(text)),
                None => Err(self.expected(&quoted(&text))),
            },
            (Self::Folder, Value::Text(text)) if !text.trim().is_empty() => Ok(Value::Text(text)),
            (Self::File, value @ Value::Text(_)) => Ok(value),
            (Self::Store, Value::Text(text)) => store(text),
            (Self::Switch, value @ Value::Switch(_)) => Ok(value),
            (Self::Hosts, Value::List(hosts)) => match hosts.iter().find(|host| !is_host(host)) {
                None => Ok(Value::List(hosts.iter().map(|host| host.to_ascii_lowercase()).collect())),
                Some(wrong) => Err(self.expected(&quoted(wrong))),
            },
            (Self::Word(words), Value::Text(text)) if words.contains(&text.as_str()) => Ok(Value::Text(text)),
            (Self::Number { min, max }, Value::Number(number)) if (min..=max).contains(&number) => {
                Ok(Value::Number(number))
            }
            (_, Value::Text(text) | Value::Database(text)) => Err(self.expected(&quoted(&text))),
            (_, value) => Err(self.expected(&value.to_string())),
        }
    }

    /// Says what is expected in place of what was found.
    pub(crate) fn expected(self, found: &str) -> String {
        match self {
            Self::Address => format!("must be an address and a port like \"127.0.0.1:6776\", not {found}"),
            Self::AddressOrNone => {
                format!(
                    "must be an address and a port like \"127.0.0.1:6777\", or \"\" for none, not {found}"
                )
            }
            Self::Folder => format!("must be the path of a folder, not {found}"),
            Self::File => format!("must be the path of a file, or \"\" for none, not {found}"),
            Self::Store => format!("must be {STORES}, not {found}"),
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
            Self::Database(address) => f.write_str(&masked(address)),
            Self::Switch(on) => write!(f, "{on}"),
            Self::Number(number) => write!(f, "{number}"),
            Self::List(texts) => write!(f, "[{}]", texts.join(", ")),
        }
    }
}

/// The store that needs nothing but a folder.
pub(crate) const SQLITE: &str = "sqlite";

const STORES: &str = "\"sqlite\", or an address like \"postgres://user@host:5432/database\"";

/// Takes the word for SQLite or an address. What is wrong with an address is told without repeating it.
fn store(text: String) -> Result<Value, String> {
    if text == SQLITE {
        return Ok(Value::Text(text));
    }
    match text.split_once("://") {
        Some(("postgres" | "postgresql", _)) => match text.parse::<Address>() {
            Ok(_) => Ok(Value::Database(text)),
            Err(error) => Err(error.to_string()),
        },
        Some((scheme, _)) if scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
            Err(format!("there is no store for {}: it must be {STORES}", quoted(&format!("{scheme}://"))))
        }
        _ => Err(format!("must be {STORES}")),
    }
}

/// An address with `***` for its password, wherever it stands.
fn masked(address: &str) -> String {
    let (scheme, rest) = address.split_once("://").unwrap_or(("", address));
    let (place, query) = rest.split_once('?').map_or((rest, None), |(place, query)| (place, Some(query)));
    let place = match place.rsplit_once('@') {
        Some((who, host)) => match who.split_once(':') {
            Some((user, _)) => format!("{user}:***@{host}"),
            None => format!("{who}@{host}"),
        },
        None => place.to_owned(),
    };
    let pairs = query.unwrap_or_default().split('&').map(|pair| match pair.split_once('=') {
        Some(("password", _)) => "password=***",
        _ => pair,
    });
    let query = query.map(|_| format!("?{}", pairs.collect::<Vec<_>>().join("&"))).unwrap_or_default();
    format!("{scheme}://{place}{query}")
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
    fn a_password_is_shown_nowhere() {
        for (address, shown) in [
            ("postgres://ann:s3cret@db/shop?schema=qa", "postgres://ann:***@db/shop?schema=qa"),
            ("postgres://ann:s3:cr@et@db/shop", "postgres://ann:***@db/shop"),
            ("postgres://db/shop?user=ann&password=s3cret", "postgres://db/shop?user=ann&password=***"),
            ("postgres://ann@db/shop", "postgres://ann@db/shop"),
            ("postgres:///shop", "postgres:///shop"),
        ] {
            assert_eq!(Value::Database(address.to_owned()).to_string(), shown);
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
