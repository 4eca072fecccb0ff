//! Diagnostics: why a scenario does not fit.

use serde::Serialize;
use sixpack_model::diagnostic::Diagnostic;
use utoipa::ToSchema;

/// One fault of a scenario file.
#[derive(Serialize, ToSchema)]
#[schema(as = Diagnostic)]
pub(in crate::http) struct DiagnosticJson<'a> {
    /// The name under which the file was given.
    file: &'a str,
    /// The line, from 1.
    line: u32,
    /// The column in characters, from 1.
    column: u32,
    /// How many characters are meant.
    length: u32,
    /// A stable name for this kind of fault.
    code: &'static str,
    /// What is wrong.
    message: &'a str,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
}

impl<'a> From<&'a Diagnostic> for DiagnosticJson<'a> {
    fn from(diagnostic: &'a Diagnostic) -> Self {
        let Diagnostic { file, line, column, length, code, message, hint } = diagnostic;
        Self { file, line: *line, column: *column, length: *length, code, message, hint: hint.as_deref() }
    }
}
