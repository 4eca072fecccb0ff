//! Where settings come from: flags, environment, file, defaults, each stronger than the next.

mod reach;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use sixpack_model::text::did_you_mean;
use sixpack_storage::postgres::Address;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::keys::{KEYS, Key, Kind, SQLITE, Value, address, quoted};
use super::{SettingFault, Settings, StoreChoice};

/// The file that is read from the working folder when no other is named.
const FILE: &str = "sixpack.toml";

/// Names a file of settings.
const FILE_VARIABLE: &str = "SIXPACK_CONFIG";

/// The password of a PostgreSQL store, as every client of PostgreSQL takes it.
const PASSWORD_VARIABLE: &str = "PGPASSWORD";

/// Variables with our prefix that are no settings of a server.
const OTHER_VARIABLES: &[&str] =
    &["SIXPACK_URL", "SIXPACK_TOKEN", "SIXPACK_ENVIRONMENT", "SIXPACK_CHANNEL", FILE_VARIABLE];

/// What was said on the command line.
#[derive(Debug, Clone, Default)]
pub(crate) struct SettingFlags {
    /// The file of settings, if one was named.
    pub(crate) file: Option<PathBuf>,
    /// Names of settings with their values.
    pub(crate) values: Vec<(&'static str, String)>,
    /// Defaults that differ from those of the file of defaults.
    pub(crate) defaults: Vec<(&'static str, Value)>,
    /// Whether no file is read: what a server for one developer does must not depend on the file of another server.
    pub(crate) without_file: bool,
}

/// Where a value was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Nowhere.
    Default,
    /// In a file, on this line.
    File(PathBuf, usize),
    /// In this variable.
    Variable(String),
    /// In this flag.
    Flag(String),
}

/// The settings that hold, and where each comes from.
#[derive(Debug)]
pub(crate) struct Effective {
    /// What holds.
    pub(crate) settings: Settings,
    /// Name, value and origin of each setting, in the order of the file of defaults.
    pub(crate) rows: Vec<(&'static str, Value, Origin)>,
}

/// Puts the settings together, or lists every fault of every source.
///
/// `environment` is that of the process; variables without our prefix are not looked at.
pub(crate) fn effective(
    flags: &SettingFlags,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Effective, Vec<SettingFault>> {
    let mut reading = Reading::default();
    let mut environment: Vec<_> = environment.into_iter().collect();
    let password = environment.iter().position(|(name, _)| name == PASSWORD_VARIABLE);
    let password = password.map(|place| environment.swap_remove(place).1);
    let file_variable = reading.environment(environment);
    if !flags.without_file {
        reading.file(flags.file.as_deref().or(file_variable.as_deref()));
    }
    for (name, text) in &flags.values {
        let key = key(name).expect("flags are made for settings that there are");
        reading.text(key, text, Origin::Flag(key.flag()));
    }
    let mut found = defaults();
    for (name, value) in &flags.defaults {
        found.insert(name, (value.clone(), Origin::Default));
    }
    // Stronger ones last.
    for source in [&mut reading.from_file, &mut reading.from_environment, &mut reading.from_flags] {
        found.append(source);
    }
    let password = reading.password(&found, password);
    let settings = settings_of(&found, password.as_deref());
    if let Some(settings) = &settings {
        let origin = |name: &str| found.get(name).map(|(_, origin)| origin.to_string());
        reading.faults.extend(reach::faults(settings, origin));
    }
    let rows = KEYS
        .iter()
        .filter_map(|key| found.remove_entry(key.name))
        .map(|(name, (value, origin))| (name, value, origin));
    let rows = rows.collect();
    match settings {
        Some(settings) if reading.faults.is_empty() => Ok(Effective { settings, rows }),
        _ => Err(reading.faults),
    }
}

type Found = BTreeMap<&'static str, (Value, Origin)>;

/// What was read so far. A value that cannot be used is a fault, and otherwise as if it were not there.
#[derive(Default)]
struct Reading {
    from_file: Found,
    from_environment: Found,
    from_flags: Found,
    faults: Vec<SettingFault>,
}

impl Reading {
    /// Reads all variables with our prefix; returns the file that one of them names.
    fn environment(
        &mut self,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Option<PathBuf> {
        let ours = environment.into_iter().filter_map(|(name, value)| {
            name.into_string().ok().filter(|name| name.starts_with("SIXPACK_")).map(|name| (name, value))
        });
        let mut file = None;
        for (name, value) in ours.collect::<BTreeMap<_, _>>() {
            // An empty variable is what scripts and composed containers write for one that is not set.
            if value.is_empty() || is_of_a_cluster(&name) {
                continue;
            }
            if name == FILE_VARIABLE {
                file = Some(PathBuf::from(value));
                continue;
            }
            if OTHER_VARIABLES.contains(&name.as_str()) {
                continue;
            }
            let Some(key) = KEYS.iter().find(|key| key.variable() == name) else {
                let variables: Vec<_> = KEYS.iter().map(Key::variable).collect();
                let known = variables.iter().map(String::as_str).chain(OTHER_VARIABLES.iter().copied());
                let what = format!("there is no such setting{}", did_you_mean(&name, known));
                self.fault(&name, "environment", what);
                continue;
            };
            match value.into_string() {
                Ok(text) => self.text(key, &text, Origin::Variable(name)),
                Err(_) => self.fault(key.name, &name, "is not UTF-8".into()),
            }
        }
        file
    }

    /// Reads the named file, which must be there, or the usual one, which need not.
    fn file(&mut self, named: Option<&Path>) {
        let path = named.unwrap_or(Path::new(FILE));
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => return,
            Err(error) => {
                return self.fault(
                    "settings",
                    &path.display().to_string(),
                    format!("the file cannot be read: {error}"),
                );
            }
        };
        let (table, errors) = DeTable::parse_recoverable(&text);
        for error in errors {
            let at = error.span().map_or(0, |span| span.start);
            let origin = Origin::File(path.to_owned(), line_at(&text, at)).to_string();
            let message = error.message().replace('\n', ", ");
            self.fault("settings", &origin, format!("is not TOML: {message}"));
        }
        self.table("", table.get_ref(), path, &text);
    }

    /// The password of the database beside its address: that of the file that is named, or else that of the variable.
    fn password(&mut self, found: &Found, variable: Option<OsString>) -> Option<String> {
        let Some((Value::Text(path), origin)) = found.get("store_password_file") else { return None };
        if path.is_empty() {
            return variable.and_then(|password| password.into_string().ok());
        }
        match std::fs::read_to_string(path) {
            Ok(text) => Some(text.trim_end_matches(['\n', '\r']).to_owned()),
            Err(error) => {
                let what = format!("{} cannot be read: {error}", quoted(path));
                self.fault("store_password_file", &origin.to_string(), what);
                None
            }
        }
    }

    fn table(&mut self, prefix: &str, table: &DeTable<'_>, path: &Path, text: &str) {
        for (name, value) in table.iter() {
            let origin = Origin::File(path.to_owned(), line_at(text, name.span().start));
            let full = format!("{prefix}{}", name.get_ref());
            if let (Some(key), false) = (key(&full), full.is_empty()) {
                self.value(key, value, origin);
            } else if let (true, DeValue::Table(inner)) = (is_table(&full), value.get_ref()) {
                self.table(&format!("{full}."), inner, path, text);
            } else if is_table(&full) {
                self.fault(&full, &origin.to_string(), format!("must be a table: write [{full}]"));
            } else {
                self.unknown(name, &full, &origin);
            }
        }
    }

    fn unknown(&mut self, name: &Spanned<DeString<'_>>, full: &str, origin: &Origin) {
        let tables = KEYS.iter().filter_map(|key| key.name.split_once('.')).map(|(table, _)| table);
        let near = did_you_mean(full, KEYS.iter().map(|key| key.name).chain(tables));
        // A setting that stands in the wrong table, or in none.
        let elsewhere =
            KEYS.iter().find(|key| key.name.rsplit('.').next() == Some(name.get_ref())).map(|key| key.name);
        let near = elsewhere.map_or(near, |place| format!(" (did you mean {}?)", quoted(place)));
        let shown = sixpack_model::text::excerpt(full);
        self.fault(&shown, &origin.to_string(), format!("there is no such setting{near}"));
    }

    fn value(&mut self, key: &'static Key, value: &Spanned<DeValue<'_>>, origin: Origin) {
        match value_of(key.kind, value.get_ref()).and_then(|value| key.kind.check(value)) {
            Ok(value) => drop(self.from_file.insert(key.name, (value, origin))),
            Err(what) => self.fault(key.name, &origin.to_string(), what),
        }
    }

    fn text(&mut self, key: &'static Key, text: &str, origin: Origin) {
        match key.kind.read(text) {
            Ok(value) => {
                let source = if matches!(origin, Origin::Flag(_)) {
                    &mut self.from_flags
                } else {
                    &mut self.from_environment
                };
                source.insert(key.name, (value, origin));
            }
            Err(what) => self.fault(key.name, &origin.to_string(), what),
        }
    }

    fn fault(&mut self, name: &str, origin: &str, what: String) {
        self.faults.push(SettingFault { name: name.to_owned(), origin: origin.to_owned(), what });
    }
}

/// The values that hold when nobody says anything else.
fn defaults() -> Found {
    let text = |text: &str| Value::Text(text.to_owned());
    let values: [(&'static str, Value); 21] = [
        ("listen", text("127.0.0.1:6776")),
        ("data", text(".sixpack")),
        ("store", text(SQLITE)),
        ("store_password_file", text("")),
        ("migrate", Value::Switch(false)),
        ("behind_proxy", Value::Switch(false)),
        ("public_hosts", Value::List(Vec::new())),
        ("metrics_listen", text("")),
        ("offline_grace_s", Value::Number(60)),
        ("drain_delay_s", Value::Number(5)),
        ("grace_s", Value::Number(20)),
        ("access_log", Value::Switch(false)),
        ("log.level", text("info")),
        ("log.format", text("json")),
        ("limits.max_connections", Value::Number(8192)),
        ("limits.long_polls_per_token", Value::Number(2000)),
        ("limits.leases_per_token", Value::Number(1000)),
        ("limits.leases_per_environment", Value::Number(10_000)),
        ("retention.datasets_days", Value::Number(30)),
        ("retention.events_days", Value::Number(30)),
        ("retention.sessions_days", Value::Number(7)),
    ];
    values.into_iter().map(|(name, value)| (name, (value, Origin::Default))).collect()
}

fn settings_of(found: &Found, password: Option<&str>) -> Option<Settings> {
    let text = |name| match found.get(name) {
        Some((Value::Text(text), _)) => Some(text.clone()),
        _ => None,
    };
    let switch = |name| matches!(found.get(name), Some((Value::Switch(true), _)));
    let number = |name| match found.get(name) {
        Some((Value::Number(number), _)) => Some(*number),
        _ => None,
    };
    let public_hosts = match found.get("public_hosts") {
        Some((Value::List(hosts), _)) => hosts.clone(),
        _ => Vec::new(),
    };
    Some(Settings {
        listen: address(&text("listen")?)?,
        data: PathBuf::from(text("data")?),
        store: store_of(found, password)?,
        migrate: switch("migrate"),
        behind_proxy: switch("behind_proxy"),
        public_hosts,
        metrics_listen: address(&text("metrics_listen")?),
        offline_grace_s: number("offline_grace_s")?,
        drain_delay_s: number("drain_delay_s")?,
        grace_s: number("grace_s")?,
        access_log: switch("access_log"),
        log_level: text("log.level")?,
        log_json: text("log.format")? == "json",
        max_connections: number("limits.max_connections")?,
        long_polls_per_token: number("limits.long_polls_per_token")?,
        leases_per_token: number("limits.leases_per_token")?,
        leases_per_environment: number("limits.leases_per_environment")?,
        keep_datasets_days: number("retention.datasets_days")?,
        keep_events_days: number("retention.events_days")?,
        keep_sessions_days: number("retention.sessions_days")?,
    })
}

fn store_of(found: &Found, password: Option<&str>) -> Option<StoreChoice> {
    let Some((Value::Database(address), _)) = found.get("store") else { return Some(StoreChoice::Sqlite) };
    let address: Address = address.parse().ok()?;
    let address = match password {
        Some(password) if !address.has_password() => address.with_password(password),
        _ => address,
    };
    Some(StoreChoice::Postgres(Box::new(address)))
}

fn value_of(kind: Kind, value: &DeValue<'_>) -> Result<Value, String> {
    let found = |what: &str| Err(kind.expected(what));
    match value {
        DeValue::String(text) => Ok(Value::Text(text.to_string())),
        DeValue::Boolean(on) => Ok(Value::Switch(*on)),
        DeValue::Integer(number) => {
            let digits = number.as_str().replace('_', "");
            match u64::from_str_radix(&digits, number.radix()) {
                Ok(number) => Ok(Value::Number(number)),
                Err(_) => found(number.as_str()),
            }
        }
        DeValue::Float(number) => found(number.as_str()),
        DeValue::Datetime(time) => found(&time.to_string()),
        DeValue::Table(_) => found("a table"),
        DeValue::Array(values) => {
            let texts: Option<Vec<_>> =
                values.iter().map(|value| value.get_ref().as_str().map(str::to_owned)).collect();
            texts.map(Value::List).ok_or_else(|| kind.expected("a list of other things"))
        }
    }
}

fn key(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

fn is_table(name: &str) -> bool {
    KEYS.iter().any(|key| key.name.split_once('.').is_some_and(|(table, _)| table == name))
}

/// A service that is called `sixpack` makes Kubernetes put such variables into every container.
fn is_of_a_cluster(name: &str) -> bool {
    let Some(rest) = name.strip_prefix("SIXPACK_") else { return false };
    rest == "PORT"
        || rest == "SERVICE_HOST"
        || rest.starts_with("SERVICE_PORT")
        || rest
            .strip_prefix("PORT_")
            .is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
}

fn line_at(text: &str, offset: usize) -> usize {
    text.as_bytes()[..offset.min(text.len())].iter().filter(|byte| **byte == b'\n').count() + 1
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path, line) => write!(f, "{}:{line}", path.display()),
            Self::Variable(name) => f.write_str(name),
            Self::Flag(name) => f.write_str(name),
        }
    }
}

#[cfg(test)]
mod tests;
