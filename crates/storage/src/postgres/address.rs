//! Address: where a PostgreSQL store is, and how to get there. Its password is never shown.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use tokio_postgres::Config;
use tokio_postgres::config::{SslMode, TargetSessionAttrs};

use super::limits::{CONNECT, IDLE_IN_TRANSACTION_MS, LOCK_MS, STATEMENT_MS, UNACKNOWLEDGED};

/// The schema of a store whose address names none.
const SCHEMA: &str = "sixpack";

/// The longest name that PostgreSQL does not cut.
const NAME_BYTES: usize = 63;

/// Where a store is: `postgres://user:password@host:port/database?schema=…&sslmode=…&sslrootcert=…`.
///
/// `schema` is that of the store, `sixpack` without it. `pooler=transaction` says that a pooler in transaction mode stands before the
/// database; without it that is found out. `sslmode` is `disable`, `prefer` (the default), `require` or
/// `verify-full`, and means what it means to `psql`: below `verify-full` a certificate is not looked at, unless `sslrootcert`
/// names a file with those who may sign it. `verify-full` alone trusts whom the machine trusts. Everything else is the
/// driver's.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    /// Without any setting of ours: a pooler takes none.
    pub(super) config: Config,
    pub(super) schema: String,
    pub(super) trust: Trust,
    /// Whether it says itself that a pooler stands before the database.
    pub(super) is_pooled: bool,
}

/// Which certificates of a database are accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trust {
    /// Every one: what is sent cannot be read on its way, but may be sent to somebody else.
    Anybody,
    /// Those for the name of the host that whom the machine trusts has signed.
    Machine,
    /// Those for the name of the host that somebody in this file has signed.
    File(PathBuf),
}

/// Why a text is no address of a store. It does not repeat the text, which may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct AddressError(String);

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if !["postgres://", "postgresql://"].iter().any(|scheme| text.starts_with(scheme)) {
            return Err(refused("an address of a PostgreSQL store begins with postgres://"));
        }
        let (place, query) = text.split_once('?').unwrap_or((text, ""));
        let mut ours = Ours::default();
        let theirs: Vec<&str> = query.split('&').filter(|pair| !pair.is_empty()).collect();
        let theirs = theirs.into_iter().filter_map(|pair| ours.take(pair).transpose());
        let theirs = theirs.collect::<Result<Vec<&str>, AddressError>>()?;
        let rest = if theirs.is_empty() { place.to_owned() } else { format!("{place}?{}", theirs.join("&")) };
        let mut config: Config = rest.parse().map_err(|cause: tokio_postgres::Error| {
            let why = std::error::Error::source(&cause).map(ToString::to_string).unwrap_or_default();
            refused(format!("the address of the store cannot be read: {why}"))
        })?;
        let schema = ours.schema.unwrap_or_else(|| SCHEMA.to_owned());
        let (mode, trust) = tls_of(ours.mode.as_deref(), ours.root)?;
        config.ssl_mode(mode);
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        if config.get_application_name().is_none() {
            config.application_name("sixpack");
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT);
        }
        config.tcp_user_timeout(UNACKNOWLEDGED).keepalives_idle(UNACKNOWLEDGED);
        Ok(Self { config, schema, trust, is_pooled: ours.is_pooled })
    }
}

impl Address {
    /// Whether it holds a password.
    pub fn has_password(&self) -> bool {
        self.config.get_password().is_some()
    }

    /// The same with this password.
    #[must_use]
    pub fn with_password(mut self, password: &str) -> Self {
        self.config.password(password);
        self
    }

    /// The schema of the store.
    pub fn schema(&self) -> &str {
        &self.schema
    }

    /// How a connection is made that is a session of its own for as long as it lives: our settings stand behind those of the
    /// address, so that ours count.
    pub(super) fn of_a_session(&self) -> Config {
        let mut config = self.config.clone();
        let theirs = config.get_options().map(|options| format!("{options} ")).unwrap_or_default();
        let ours: Vec<String> =
            settings(&self.schema).iter().map(|(name, value)| format!("-c {name}={value}")).collect();
        config.options(format!("{theirs}{}", ours.join(" ")));
        config
    }

    /// Statements that give the transaction in which they are run the same settings, with these in place of some.
    pub(super) fn of_a_transaction(&self, others: &[(&str, u64)]) -> String {
        let ours = settings(&self.schema);
        let others = others.iter().map(|(name, value)| (*name, value.to_string()));
        let all = ours.into_iter().filter(|(name, _)| others.clone().all(|(other, _)| other != *name));
        let set = all.chain(others.clone()).map(|(name, value)| format!("SET LOCAL {name} = {value}"));
        set.collect::<Vec<_>>().join("; ")
    }
}

impl fmt::Display for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let database = self.config.get_dbname().unwrap_or("the database");
        write!(out, "schema {} of {database} at ", self.schema)?;
        for (place, host) in self.config.get_hosts().iter().enumerate() {
            let between = if place == 0 { "" } else { ", " };
            match host {
                tokio_postgres::config::Host::Tcp(name) => write!(out, "{between}{name}")?,
                tokio_postgres::config::Host::Unix(path) => write!(out, "{between}{}", path.display())?,
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Address({self})")
    }
}

/// What of an address the driver does not know.
#[derive(Default)]
struct Ours {
    schema: Option<String>,
    mode: Option<String>,
    root: Option<PathBuf>,
    is_pooled: bool,
}

impl Ours {
    /// Takes a pair that is ours; gives back one that is not.
    fn take<'p>(&mut self, pair: &'p str) -> Result<Option<&'p str>, AddressError> {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        match name {
            "schema" => self.schema = Some(schema(value)?),
            "sslmode" => self.mode = Some(value.to_owned()),
            "pooler" if value == "transaction" => self.is_pooled = true,
            "pooler" => return Err(refused("pooler is transaction, or left out: it is found out then")),
            "sslrootcert" => self.root = Some(PathBuf::from(decoded(value)?)),
            _ => return Ok(Some(pair)),
        }
        Ok(None)
    }
}

/// Names that need no quotes anywhere.
fn schema(name: &str) -> Result<String, AddressError> {
    let begins = name.starts_with(|first: char| first.is_ascii_lowercase() || first == '_');
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let taken = ["public", "information_schema"].contains(&name) || name.starts_with("pg_");
    if begins && name.chars().all(plain) && name.len() <= NAME_BYTES && !taken {
        Ok(name.to_owned())
    } else {
        let rule = "lower case letters, digits and _, not a digit first, at most 63, and not one of PostgreSQL's own";
        Err(refused(format!("the schema of a store is named with {rule}")))
    }
}

fn tls_of(mode: Option<&str>, root: Option<PathBuf>) -> Result<(SslMode, Trust), AddressError> {
    let root = root.filter(|path| path.as_os_str() != "system");
    let checked = root.clone().map_or(Trust::Anybody, Trust::File);
    match mode {
        Some("disable") => Ok((SslMode::Disable, Trust::Anybody)),
        None | Some("prefer") => Ok((SslMode::Prefer, checked)),
        Some("require") => Ok((SslMode::Require, checked)),
        Some("verify-full") => Ok((SslMode::Require, root.map_or(Trust::Machine, Trust::File))),
        Some("verify-ca") => {
            Err(refused("sslmode=verify-ca is not supported; use verify-full, which checks more"))
        }
        Some(_) => Err(refused("sslmode is disable, prefer, require or verify-full")),
    }
}

/// What holds for every statement of ours.
///
/// Every one finds its rows by an index, and a few at a time, whatever its values are: it is planned once by each
/// connection, which takes as long as carrying it out, and the plan is kept, perhaps from when a table was empty. Reading a table from
/// end to end must not look cheap then; nor reading all of a line through a bitmap of its pages, to sort it and take the first.
fn settings(schema: &str) -> [(&'static str, String); 10] {
    let off = || "off".to_owned();
    [
        ("search_path", schema.to_owned()),
        ("statement_timeout", STATEMENT_MS.to_string()),
        ("lock_timeout", LOCK_MS.to_string()),
        ("idle_in_transaction_session_timeout", IDLE_IN_TRANSACTION_MS.to_string()),
        ("plan_cache_mode", "force_generic_plan".to_owned()),
        ("enable_seqscan", off()),
        ("enable_bitmapscan", off()),
        ("enable_hashjoin", off()),
        ("enable_mergejoin", off()),
        ("jit", off()),
    ]
}

fn decoded(text: &str) -> Result<String, AddressError> {
    let wrong = || refused("sslrootcert is not well-formed: % is followed by two hexadecimal digits");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (digits, behind) = rest.split_at_checked(2).ok_or_else(wrong)?;
        let digits = std::str::from_utf8(digits).map_err(|_| wrong())?;
        bytes.push(u8::from_str_radix(digits, 16).map_err(|_| wrong())?);
        rest = behind;
    }
    String::from_utf8(bytes).map_err(|_| wrong())
}

fn refused(why: impl Into<String>) -> AddressError {
    AddressError(why.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        text.parse().unwrap()
    }

    #[test]
    fn a_password_is_never_shown() {
        let address = address("postgres://ann:s3cret@db.example:6000/shop?schema=qa&application_name=x");
        assert_eq!(address.to_string(), "schema qa of shop at db.example");
        assert_eq!(format!("{address:?}"), "Address(schema qa of shop at db.example)");
        assert_eq!(address.config.get_password(), Some(&b"s3cret"[..]));
        for wrong in
            ["postgres://ann:s3cret@db:port/x", "postgres://ann:s3cret@db/x?nonsense=1", "mysql://s3cret@x"]
        {
            let error = wrong.parse::<Address>().unwrap_err();
            assert!(!format!("{error} {error:?}").contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn every_mode_of_tls_says_whom_it_trusts() {
        let file = || Trust::File(PathBuf::from("/etc/our ca.pem"));
        for (query, mode, trust) in [
            ("", SslMode::Prefer, Trust::Anybody),
            ("?sslmode=disable", SslMode::Disable, Trust::Anybody),
            ("?sslmode=prefer", SslMode::Prefer, Trust::Anybody),
            ("?sslmode=require", SslMode::Require, Trust::Anybody),
            ("?sslmode=require&sslrootcert=/etc/our%20ca.pem", SslMode::Require, file()),
            ("?sslmode=verify-full", SslMode::Require, Trust::Machine),
            ("?sslmode=verify-full&sslrootcert=system", SslMode::Require, Trust::Machine),
            ("?sslrootcert=/etc/our%20ca.pem&sslmode=verify-full", SslMode::Require, file()),
        ] {
            let address = address(&format!("postgres://db/shop{query}"));
            assert_eq!((address.config.get_ssl_mode(), address.trust), (mode, trust), "{query}");
        }
        for (query, why) in
            [("sslmode=verify-ca", "verify-full"), ("sslmode=yes", "prefer"), ("sslrootcert=%4", "two")]
        {
            let error = format!("postgres://db/shop?{query}").parse::<Address>().unwrap_err();
            assert!(error.to_string().contains(why), "{error}");
        }
    }

    #[test]
    fn a_schema_has_a_name_without_quotes() {
        assert_eq!(address("postgres://db/shop").schema, "sixpack");
        assert_eq!(address("postgresql://db/shop?schema=team_7").schema, "team_7");
        for wrong in ["", "7up", "Team", "a-b", "a b", "public", "pg_x", &"x".repeat(64)] {
            assert!(format!("postgres://db/shop?schema={wrong}").parse::<Address>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn our_settings_stand_behind_those_of_the_address() {
        let address = address("postgres://db/shop?options=-c%20search_path%3Dtheirs");
        assert_eq!(address.config.get_options(), Some("-c search_path=theirs"));
        let session = address.of_a_session();
        let options = session.get_options().unwrap();
        assert!(
            options.starts_with("-c search_path=theirs -c search_path=sixpack -c statement_timeout="),
            "{options}"
        );
    }

    #[test]
    fn a_transaction_has_each_setting_once() {
        let set =
            address("postgres://db/shop").of_a_transaction(&[("lock_timeout", 7), ("tcp_user_timeout", 0)]);
        assert!(set.starts_with("SET LOCAL search_path = sixpack; SET LOCAL statement_timeout = "), "{set}");
        assert!(
            set.ends_with(
                "; SET LOCAL jit = off; SET LOCAL lock_timeout = 7; SET LOCAL tcp_user_timeout = 0"
            )
        );
        assert_eq!(set.matches("lock_timeout").count(), 1, "{set}");
    }

    #[test]
    fn a_pooler_is_found_out_or_said() {
        assert!(!address("postgres://db/shop").is_pooled);
        assert!(address("postgres://db/shop?pooler=transaction").is_pooled);
        let error = "postgres://db/shop?pooler=session".parse::<Address>().unwrap_err();
        assert!(error.to_string().contains("transaction, or left out"), "{error}");
    }
}
