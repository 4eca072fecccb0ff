//! The log of the tested servers: everything that they tell, kept to be looked at.

use std::fmt::Debug;
use std::sync::{Mutex, OnceLock, PoisonError};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Bytes that are kept: far more than a run of all tests tells.
const KEPT_BYTES: usize = 64 * 1024 * 1024;

/// Begins to keep what all servers of this program tell; the first call counts.
pub(crate) fn keep() {
    static KEEPING: OnceLock<()> = OnceLock::new();
    KEEPING.get_or_init(|| tracing::subscriber::set_global_default(Log).expect("nothing else keeps the log"));
}

/// Fails when anything told so far could steer whoever reads it: a refused input may be named, cut and escaped.
#[track_caller]
pub(crate) fn assert_harmless() {
    let told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
    let misleading = |character: char| {
        (character.is_control() && character != '\n')
            || matches!(character, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    let found = told.lines().find(|line| line.contains(misleading));
    assert_eq!(found, None, "the log shows it as it came");
}

/// What was told, a field a line.
static TOLD: Mutex<String> = Mutex::new(String::new());

struct Log;

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("sixpack")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        event.record(&mut Fields);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Fields;

impl Visit for Fields {
    fn record_str(&mut self, _: &Field, value: &str) {
        let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() < KEPT_BYTES {
            // A line break in a value is one of what must not be there.
            told.push_str(&value.replace('\n', "\u{85}"));
            told.push('\n');
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}
