//! Rows as a table with a column for each property: `input.country,output.customer_id`.

use csv::{ReaderBuilder, StringRecord, Trim};
use serde_json::{Map, Number, Value};

use super::rows::{Row, Rows, Wrong};

/// How often a `$ref` is followed to find the type of a property: schemas of people have one or two, and a circle has no end.
const REFERENCES: usize = 8;

/// One column: where its values go, and what types they may have there.
struct Column {
    name: String,
    is_input: bool,
    path: Vec<String>,
    types: Vec<String>,
}

/// Reads a file, and says everything that is wrong with it. A value is read as the type that the schema gives its property.
pub(super) fn read(text: &str, input: &Value, output: &Value) -> (Rows, Vec<Wrong>) {
    match read_table(text, input, output) {
        Ok(read) => read,
        Err(wrong) => (Rows::default(), wrong),
    }
}

/// The rows that can be read, and what is wrong with the others; an error when no row can be, because of the first line.
fn read_table(text: &str, input: &Value, output: &Value) -> Result<(Rows, Vec<Wrong>), Vec<Wrong>> {
    let mut reader = ReaderBuilder::new().flexible(true).trim(Trim::Headers).from_reader(text.as_bytes());
    let header = reader.headers().cloned().map_err(|error| vec![unreadable(&error)])?;
    let columns = columns(&header, input, output)?;
    let (mut rows, mut wrong) = (Vec::new(), Vec::new());
    for record in reader.records() {
        match record {
            Err(error) => wrong.push(unreadable(&error)),
            Ok(record) => match row(&record, &columns) {
                Ok(row) => rows.push(row),
                Err(fault) => wrong.push(fault),
            },
        }
    }
    if rows.is_empty() && wrong.is_empty() {
        wrong.push(Wrong::at(1, None, "", "the file has no rows"));
    }
    let columns = columns.into_iter().map(|column| column.name).collect();
    Ok((Rows { rows, columns }, wrong))
}

fn columns(header: &StringRecord, input: &Value, output: &Value) -> Result<Vec<Column>, Vec<Wrong>> {
    let (mut columns, mut wrong) = (Vec::<Column>::new(), Vec::new());
    for (number, name) in (1..).zip(header) {
        // Some programs begin a file with a mark that says which of the Unicode encodings it is in.
        let name = name.trim_start_matches('\u{feff}');
        let parts = name.split_once('.').filter(|(_, path)| path.split('.').all(|part| !part.is_empty()));
        let (is_input, path) = match parts {
            Some(("input", path)) => (true, path),
            Some(("output", path)) => (false, path),
            _ => {
                let message =
                    "is no column of a row; name it after a property, such as `input.country` or `output.id`";
                wrong.push(Wrong::at(1, Some(number), name, message));
                continue;
            }
        };
        if columns.iter().any(|other| inside(&other.name, name) || inside(name, &other.name)) {
            wrong.push(Wrong::at(1, Some(number), name, "is given by another column as well"));
            continue;
        }
        let path: Vec<String> = path.split('.').map(str::to_owned).collect();
        let types = types_at(if is_input { input } else { output }, &path);
        columns.push(Column { name: name.to_owned(), is_input, path, types });
    }
    if wrong.is_empty() && columns.iter().all(|column| column.is_input) {
        wrong.push(Wrong::at(
            1,
            None,
            "output",
            "has no column: a row says what making it would have answered",
        ));
    }
    if wrong.is_empty() { Ok(columns) } else { Err(wrong) }
}

/// Whether one column is another one, or a property inside of it.
fn inside(outer: &str, inner: &str) -> bool {
    inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

fn row(record: &StringRecord, columns: &[Column]) -> Result<Row, Wrong> {
    let line = record.position().map_or(0, csv::Position::line);
    if record.len() != columns.len() {
        let message = format!("has {} values, and the table has {} columns", record.len(), columns.len());
        return Err(Wrong::at(line, None, "", message));
    }
    let (mut input, mut output) = (Map::new(), Map::new());
    for (column, text) in columns.iter().zip(record) {
        if !text.is_empty() {
            let fields = if column.is_input { &mut input } else { &mut output };
            put(fields, &column.path, value(text, &column.types));
        }
    }
    Ok(Row { line, input: Value::Object(input), output: Value::Object(output) })
}

fn put(fields: &mut Map<String, Value>, path: &[String], value: Value) {
    let Some((name, rest)) = path.split_first() else { return };
    if rest.is_empty() {
        fields.insert(name.clone(), value);
        return;
    }
    let inner = fields.entry(name.clone()).or_insert_with(|| Value::Object(Map::new()));
    if let Value::Object(inner) = inner {
        put(inner, rest, value);
    }
}

/// A cell as one of the types; as text when it is none of them, which the server then refuses by name.
fn value(text: &str, types: &[String]) -> Value {
    let may_be = |name: &str| types.iter().any(|one| one == name);
    let is_number = may_be("integer") || may_be("number");
    match text {
        "true" | "false" if may_be("boolean") => Value::Bool(text == "true"),
        "null" if may_be("null") => Value::Null,
        _ => {
            let number = if is_number { serde_json::from_str::<Number>(text).ok() } else { None };
            let nested = || {
                let is_nested = may_be("object") || may_be("array");
                let parsed = if is_nested { serde_json::from_str::<Value>(text).ok() } else { None };
                parsed.filter(|value| value.is_object() || value.is_array())
            };
            number.map(Value::Number).or_else(nested).unwrap_or_else(|| Value::String(text.to_owned()))
        }
    }
}

/// The types that a schema gives a property; none when it does not say.
fn types_at(schema: &Value, path: &[String]) -> Vec<String> {
    let mut at = resolved(schema, schema);
    for name in path {
        let Some(inner) = at.get("properties").and_then(|properties| properties.get(name)) else {
            return Vec::new();
        };
        at = resolved(schema, inner);
    }
    let alternatives = ["anyOf", "oneOf"].into_iter().filter_map(|name| at.get(name)?.as_array()).flatten();
    let all = std::iter::once(at).chain(alternatives.map(|inner| resolved(schema, inner)));
    let types = all.filter_map(|one| one.get("type")).flat_map(|types| match types {
        Value::Array(types) => types.iter().collect::<Vec<_>>(),
        one => vec![one],
    });
    types.filter_map(Value::as_str).map(str::to_owned).collect()
}

fn resolved<'a>(document: &'a Value, mut at: &'a Value) -> &'a Value {
    for _ in 0..REFERENCES {
        let target = at.get("$ref").and_then(Value::as_str).and_then(|target| target.strip_prefix('#'));
        match target.and_then(|target| document.pointer(target)) {
            Some(target) => at = target,
            None => break,
        }
    }
    at
}

fn unreadable(error: &csv::Error) -> Wrong {
    let line = error.position().map_or(1, csv::Position::line);
    Wrong::at(line, None, "", format!("cannot be read: {error}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schemas() -> (Value, Value) {
        let input = json!({ "type": "object", "properties": { "country": { "type": "string" } } });
        let output = json!({
            "properties": {
                "id": { "$ref": "#/$defs/id" },
                "age": { "anyOf": [{ "type": "integer" }, { "type": "null" }] },
                "code": { "type": "string" },
                "active": { "type": "boolean" },
                "tags": { "type": ["array", "null"] },
                "address": { "type": "object", "properties": { "zip": { "type": "string" } } },
            },
            "$defs": { "id": { "type": "number" } },
        });
        (input, output)
    }

    fn read_it(text: &str) -> (Rows, Vec<Wrong>) {
        let (input, output) = schemas();
        read(text, &input, &output)
    }

    #[test]
    fn values_are_read_as_the_types_of_the_schema() {
        let text = "\u{feff}input.country,output.id, output.age,output.code,output.active,output.tags,output.address.zip\n\
                    FR,7.10,null,007,true,\"[\"\"a\"\", 1]\",75001\n\
                    ,x,,7,maybe,a,\n";
        let rows = read_it(text).0.rows;
        let first: Value = serde_json::from_str(
            r#"{"id":7.10,"age":null,"code":"007","active":true,"tags":["a",1],"address":{"zip":"75001"}}"#,
        )
        .unwrap();
        assert_eq!(rows[0], Row { line: 2, input: json!({ "country": "FR" }), output: first });
        let second = json!({ "id": "x", "code": "7", "active": "maybe", "tags": "a" });
        assert_eq!(rows[1], Row { line: 3, input: json!({}), output: second }, "what is empty is left out");
    }

    #[test]
    fn rows_beside_one_that_cannot_be_read_are_read_all_the_same() {
        let (rows, wrong) = read_it("output.id,output.code\n1,2\n1\n3,4\n");
        assert_eq!(rows.rows.iter().map(|row| row.line).collect::<Vec<_>>(), [2, 4]);
        assert_eq!(wrong.iter().map(|wrong| wrong.place.line).collect::<Vec<_>>(), [3]);
    }

    #[test]
    fn a_value_with_line_breaks_does_not_move_the_lines_of_the_rows_behind_it() {
        let rows = read_it("output.code\n\"a\nb\"\nc\n").0.rows;
        assert_eq!(rows.iter().map(|row| row.line).collect::<Vec<_>>(), [2, 4]);
    }

    #[test]
    fn everything_that_is_wrong_is_told_with_its_place() {
        for (text, line, column, property) in [
            ("", 1, None, "output"),
            ("country,output.id\n", 1, Some(1), "country"),
            ("input.country\nFR\n", 1, None, "output"),
            ("output.id,output.\n", 1, Some(2), "output."),
            ("output.id,output.id\n", 1, Some(2), "output.id"),
            ("output.address,output.address.zip\n", 1, Some(2), "output.address.zip"),
            ("output.id,output.code\n1,2\n1,2,3\n", 3, None, ""),
            ("output.id\n", 1, None, ""),
        ] {
            let (_, wrong) = read_it(text);
            let place = &wrong[0].place;
            let told = (place.line, place.column, place.property.as_str());
            assert_eq!(told, (line, column, property), "{text:?}: {}", wrong[0].message);
        }
    }
}
