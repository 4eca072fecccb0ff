//! Rows as JSON, an object on each line.

use serde_json::{Map, Value};

use super::rows::{Row, Rows, Wrong};

/// Reads a file, and says everything that is wrong with it. What a row holds is the server's to judge.
pub(super) fn read(text: &str) -> (Rows, Vec<Wrong>) {
    let (mut rows, mut wrong) = (Vec::new(), Vec::new());
    for (number, text) in (1..).zip(text.lines()) {
        if text.trim().is_empty() {
            continue;
        }
        match serde_json::from_str(text) {
            Ok(Value::Object(fields)) => match row(number, fields) {
                Ok(row) => rows.push(row),
                Err(faults) => wrong.extend(faults),
            },
            Ok(_) => wrong.push(Wrong::at(number, None, "", "must be an object with `input` and `output`")),
            Err(error) => {
                let column = u64::try_from(error.column()).ok();
                wrong.push(Wrong::at(number, column, "", format!("is no JSON: {}", cause(&error))));
            }
        }
    }
    if rows.is_empty() && wrong.is_empty() {
        wrong.push(Wrong::at(1, None, "", "the file has no rows"));
    }
    (Rows { rows, columns: Vec::new() }, wrong)
}

fn row(line: u64, mut fields: Map<String, Value>) -> Result<Row, Vec<Wrong>> {
    let input = fields.remove("input").unwrap_or_else(|| Value::Object(Map::new()));
    let output = fields.remove("output");
    let mut wrong: Vec<Wrong> = fields
        .keys()
        .map(|name| Wrong::at(line, None, name, "is unknown; a row has `input` and `output` only"))
        .collect();
    if !input.is_object() {
        wrong.push(Wrong::at(line, None, "input", "must be an object"));
    }
    match output {
        Some(output) if wrong.is_empty() => return Ok(Row { line, input, output }),
        Some(_) => {}
        None => {
            wrong.push(Wrong::at(line, None, "output", "is required: what making it would have answered"));
        }
    }
    Err(wrong)
}

/// The message without its place, which is that within the line.
fn cause(error: &serde_json::Error) -> String {
    let message = error.to_string();
    message.rsplit_once(" at line ").map_or(message.clone(), |(cause, _)| cause.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_line_is_a_row_and_empty_ones_are_none() {
        let rows = read("{\"input\":{\"a\":1},\"output\":{\"id\":1}}\n\n{\"output\":{}}\n").0;
        let expected = [
            Row { line: 1, input: json!({ "a": 1 }), output: json!({ "id": 1 }) },
            Row { line: 3, input: json!({}), output: json!({}) },
        ];
        assert_eq!(rows.rows, expected);
    }

    #[test]
    fn everything_that_is_wrong_is_told_with_its_line() {
        let (rows, wrong) =
            read("{\"output\":{}}\n[]\n{\"input\":[],\"extra\":1}\n{\"output\": nul}\n{\"output\":1}\n");
        assert_eq!(rows.rows.iter().map(|row| row.line).collect::<Vec<_>>(), [1, 5], "the others are read");
        let told: Vec<(u64, &str)> =
            wrong.iter().map(|wrong| (wrong.place.line, wrong.place.property.as_str())).collect();
        assert_eq!(told, [(2, ""), (3, "extra"), (3, "input"), (3, "output"), (4, "")]);
        assert_eq!(wrong[4].place.column, Some(15));
        assert_eq!(read("\n").1[0].message, "the file has no rows");
    }
}
