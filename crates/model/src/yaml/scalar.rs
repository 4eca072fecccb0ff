//! Scalars without quotes: the few that mean more than text.

use serde_json::{Number, Value};

use crate::limits::NUMBER_CHARS;

/// What a scalar without quotes is where nothing says what is wanted.
pub(super) fn plain(text: &str) -> Value {
    match text {
        _ if is_null(text) => Value::Null,
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ => decimal(text).map_or_else(|| Value::String(text.to_owned()), Value::Number),
    }
}

/// Whether a scalar without quotes stands for nothing.
pub(super) fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null")
}

/// A number written in plain decimal digits, which means the same in every version of YAML and in JSON.
fn decimal(text: &str) -> Option<Number> {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) =
        unsigned.split_once('.').map_or((unsigned, None), |(whole, part)| (whole, Some(part)));
    let fits = digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && text.len() <= NUMBER_CHARS;
    fits.then(|| text.parse().ok()).flatten()
}
