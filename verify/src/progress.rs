//! Progress of what takes long: it goes where it does not disturb the report.

use std::io::Write;

/// Shows a line.
pub(crate) fn progress(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
