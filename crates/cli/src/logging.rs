//! Logs: one line for each event on the standard error output, as JSON for machines or as text for people.

use std::fmt;

use jiff::{Timestamp, Unit};
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use crate::printing::{clean, clean_json};

/// Bytes of one field: enough for an error with its causes, too little to fill a disk.
const FIELD_BYTES: usize = 1024;

/// Starts logging for the rest of the process.
///
/// Other people's libraries only warn, whatever the level: what they tell besides is about their insides.
pub(crate) fn start(level: &str, json: bool) {
    let level = match level {
        "error" => LevelFilter::ERROR,
        "warn" => LevelFilter::WARN,
        "debug" => LevelFilter::DEBUG,
        "trace" => LevelFilter::TRACE,
        _ => LevelFilter::INFO,
    };
    let ours = Targets::new().with_default(level.min(LevelFilter::WARN)).with_target("sixpack", level);
    let layer = tracing_subscriber::fmt::layer().event_format(Line { json }).with_writer(std::io::stderr);
    // A second start in one process would be our mistake; it changes nothing.
    let _ = tracing_subscriber::registry().with(ours).with(layer).try_init();
}

/// How one event is written.
struct Line {
    json: bool,
}

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let line = line(self.json, &now(), *event.metadata().level(), event.metadata().target(), fields);
        writeln!(writer, "{line}")
    }
}

fn line(json: bool, now: &str, level: Level, target: &str, fields: Fields) -> String {
    if !json {
        let mut line = format!("{now} {level:<5} {}", clean(&fields.message));
        for (name, value) in &fields.others {
            let value = value.as_str().map_or_else(|| value.to_string(), clean);
            line.push_str(&format!(" {name}={value}"));
        }
        return line;
    }
    let mut object = Map::new();
    object.insert("ts".into(), now.into());
    object.insert("level".into(), level.as_str().to_ascii_lowercase().into());
    object.insert("msg".into(), fields.message.into());
    object.insert("target".into(), target.into());
    object.insert("version".into(), env!("CARGO_PKG_VERSION").into());
    object.extend(fields.others);
    clean_json(&Value::Object(object).to_string())
}

fn now() -> String {
    let now = Timestamp::now().round(Unit::Millisecond).unwrap_or_default();
    format!("{now:.3}")
}

/// The fields of one event.
#[derive(Default)]
struct Fields {
    message: String,
    others: Map<String, Value>,
}

impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::String(text)) => self.message = text,
            ("message", value) => self.message = value.to_string(),
            (name, value) => drop(self.others.insert(name.to_owned(), value)),
        }
    }

    fn text(&mut self, field: &Field, mut text: String) {
        if text.len() > FIELD_BYTES {
            let end = (0..=FIELD_BYTES).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
            text.truncate(end);
            text.push('…');
        }
        self.put(field, text.into());
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, value.to_owned());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields() -> Fields {
        let mut others = Map::new();
        others.insert("err".into(), "a\u{1b}[31m\nb\u{9b}\u{202e}".into());
        others.insert("count".into(), 3.into());
        Fields { message: "it broke".into(), others }
    }

    #[test]
    fn a_log_line_is_one_line_that_steers_no_terminal() {
        let text = line(false, "2026-11-22T10:41:07.120Z", Level::WARN, "sixpack", fields());
        assert_eq!(
            text,
            "2026-11-22T10:41:07.120Z WARN  it broke count=3 err=a\\x1b[31m\\nb\\u{9b}\\u{202e}"
        );
        let json = line(true, "2026-11-22T10:41:07.120Z", Level::WARN, "sixpack", fields());
        assert!(json.is_ascii() && !json.contains(['\u{1b}', '\n']), "{json}");
        let read: Value = serde_json::from_str(&json).unwrap();
        assert_eq!((read["level"].as_str(), read["msg"].as_str()), (Some("warn"), Some("it broke")));
        assert_eq!(read["count"], 3);
    }

    #[test]
    fn times_have_milliseconds() {
        let now = now();
        assert_eq!((now.len(), now.as_bytes()[19], now.ends_with('Z')), (24, b'.', true), "{now}");
    }
}
