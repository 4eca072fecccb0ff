//! Rows of a file, and where in the file each stands.

use serde_json::Value;

/// What a file says.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Rows {
    pub(super) rows: Vec<Row>,
    /// The columns of a table, in their order: `output.customer_id`; empty when there is no table.
    pub(super) columns: Vec<String>,
}

/// One dataset that is there.
#[derive(Debug, PartialEq)]
pub(super) struct Row {
    /// Its line in the file, counted from 1.
    pub(super) line: u64,
    pub(super) input: Value,
    pub(super) output: Value,
}

/// Something wrong in a file.
#[derive(Debug, PartialEq)]
pub(super) struct Wrong {
    pub(super) place: Place,
    pub(super) message: String,
}

/// A place in a file.
#[derive(Debug, PartialEq)]
pub(super) struct Place {
    pub(super) line: u64,
    /// Counted from 1: of a table the number of the column, of anything else that of the character.
    pub(super) column: Option<u64>,
    /// `output.customer_id`; empty for the whole line.
    pub(super) property: String,
}

impl Wrong {
    pub(super) fn at(line: u64, column: Option<u64>, property: &str, message: impl Into<String>) -> Self {
        Self { place: Place { line, column, property: property.to_owned() }, message: message.into() }
    }
}

impl Rows {
    /// A sentence of the server's with the lines of the file in place of its pointers to rows.
    pub(super) fn by_lines(&self, message: &str) -> String {
        let mut told = String::with_capacity(message.len());
        let mut rest = message;
        while let Some((before, behind)) = rest.split_once("`/rows/") {
            let Some((number, after)) = behind.split_once('`') else { break };
            let line =
                number.parse::<usize>().ok().and_then(|number| self.rows.get(number)).map(|row| row.line);
            told.push_str(before);
            match line {
                Some(line) => told.push_str(&format!("line {line}")),
                None => told.push_str(&format!("`/rows/{number}`")),
            }
            rest = after;
        }
        told.push_str(rest);
        told
    }

    /// The place that a pointer of the server's means: `/rows/3/output/customer_id`.
    pub(super) fn place(&self, pointer: &str) -> Option<Place> {
        let mut segments = pointer.strip_prefix("/rows/")?.split('/');
        let row = self.rows.get(segments.next()?.parse::<usize>().ok()?)?;
        let unescaped = segments.map(|segment| segment.replace("~1", "/").replace("~0", "~"));
        let property = unescaped.collect::<Vec<_>>().join(".");
        let inside = |column: &String| {
            property
                .strip_prefix(column.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let column = self.columns.iter().position(inside).map(|index| index as u64 + 1);
        Some(Place { line: row.line, column, property })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_sentence_about_rows_is_told_about_their_lines() {
        let row = |line| Row { line, input: json!({}), output: json!({}) };
        let rows = Rows { rows: vec![row(2), row(5)], columns: Vec::new() };
        for (message, told) in [
            ("`a:b` is in `/rows/1` already", "`a:b` is in line 5 already"),
            ("`/rows/0` and `/rows/7`", "line 2 and `/rows/7`"),
            ("is `/rows/", "is `/rows/"),
            ("", ""),
        ] {
            assert_eq!(rows.by_lines(message), told);
        }
    }

    #[test]
    fn a_pointer_leads_to_its_line_and_column() {
        let row = |line| Row { line, input: json!({}), output: json!({}) };
        let columns = ["input.country", "output.id", "output.address"].map(str::to_owned).to_vec();
        let rows = Rows { rows: vec![row(2), row(5)], columns };
        for (pointer, line, column, property) in [
            ("/rows/0/input/country", 2, Some(1), "input.country"),
            ("/rows/1/output/address/street", 5, Some(3), "output.address.street"),
            ("/rows/1/output", 5, None, "output"),
            ("/rows/1/output/a~1b", 5, None, "output.a/b"),
            ("/rows/1", 5, None, ""),
        ] {
            let expected = Place { line, column, property: property.to_owned() };
            assert_eq!(rows.place(pointer), Some(expected), "{pointer}");
        }
        for elsewhere in ["/contract", "/rows/7/output", "/rows/x", ""] {
            assert_eq!(rows.place(elsewhere), None, "{elsewhere}");
        }
    }
}
