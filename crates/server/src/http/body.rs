//! Bodies that are looked at as a whole before they are taken apart.

use axum::extract::{FromRequest, Request};
use serde_json::Value;
use sixpack_model::limits::{FILE_BYTES, INSTANCE_BYTES};

use crate::edge::json::{LongTexts, TEXT_MAX_BYTES, VALUES_MAX, object, read_value};
use crate::edge::problem::Problem;

// The edge knows no field, so that it is held here that none takes a longer text than the edge hands on.
const _: () = assert!(FILE_BYTES <= TEXT_MAX_BYTES && INSTANCE_BYTES <= TEXT_MAX_BYTES);

/// A strictly parsed JSON object of at most so many bytes and values. Whoever takes it apart checks it.
pub(super) struct Document<const MAX_BYTES: usize, const MAX_VALUES: usize = VALUES_MAX>(pub(super) Value);

impl<S: Sync, const MAX_BYTES: usize, const MAX_VALUES: usize> FromRequest<S>
    for Document<MAX_BYTES, MAX_VALUES>
{
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        object(read_value(request, MAX_BYTES, MAX_VALUES, LongTexts::Refused).await?).map(Self)
    }
}

/// A fingerprint that is the same for every order of keys.
pub(super) fn fingerprint(value: &Value) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hash(value, &mut hasher);
    *hasher.finalize().as_bytes()
}

/// Every value begins with its kind and its length, so that no two different values are written alike.
fn hash(value: &Value, hasher: &mut blake3::Hasher) {
    let mut begin = |kind: u8, length: usize| {
        hasher.update(&[kind]);
        hasher.update(&(length as u64).to_le_bytes());
    };
    match value {
        Value::Null => begin(b'n', 0),
        Value::Bool(value) => begin(b'b', usize::from(*value)),
        Value::Number(number) => {
            begin(b'd', number.as_str().len());
            hasher.update(number.as_str().as_bytes());
        }
        Value::String(text) => {
            begin(b's', text.len());
            hasher.update(text.as_bytes());
        }
        Value::Array(items) => {
            begin(b'a', items.len());
            items.iter().for_each(|item| hash(item, hasher));
        }
        Value::Object(fields) => {
            begin(b'o', fields.len());
            let mut fields: Vec<(&String, &Value)> = fields.iter().collect();
            fields.sort_unstable_by_key(|(name, _)| *name);
            for (name, value) in fields {
                hasher.update(&(name.len() as u64).to_le_bytes());
                hasher.update(name.as_bytes());
                hash(value, hasher);
            }
        }
    }
}

/// Bytes of a value written compactly, without writing it.
pub(super) fn written_bytes(value: &Value) -> usize {
    struct Counter(usize);

    impl std::io::Write for Counter {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    let mut counter = Counter(0);
    serde_json::to_writer(&mut counter, value).expect("a value can be written, and counting does not fail");
    counter.0
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::edge::json::parse_within;
    use crate::http::sessions::{MANIFEST_MAX_BYTES, MANIFEST_MAX_VALUES};

    fn print(text: &str) -> [u8; 32] {
        fingerprint(&serde_json::from_str(text).unwrap())
    }

    #[test]
    fn only_the_order_of_keys_does_not_matter() {
        let one = print(r#"{"a":1,"b":{"x":[1,2],"y":null}}"#);
        assert_eq!(one, print(r#"{ "b": {"y": null, "x": [1, 2]}, "a": 1 }"#));
        for other in [
            r#"{"a":1,"b":{"x":[2,1],"y":null}}"#,
            r#"{"a":1.0,"b":{"x":[1,2],"y":null}}"#,
            r#"{"a":"1","b":{"x":[1,2],"y":null}}"#,
            r#"{"a":1,"b":{"x":[1,2]}}"#,
        ] {
            assert_ne!(one, print(other), "{other}");
        }
    }

    #[test]
    fn a_thousand_capabilities_with_thirty_properties_in_each_schema_fit_into_a_manifest() {
        let schema = |number: usize| {
            let property = |of: usize| {
                let described =
                    json!({ "type": "string", "description": "what it is", "maxLength": 100 + of });
                (format!("property_{number}_{of}"), described)
            };
            let properties: serde_json::Map<String, Value> = (0..30).map(property).collect();
            let required: Vec<&String> = properties.keys().take(10).collect();
            json!({ "type": "object", "required": required, "properties": properties, "additionalProperties": false })
        };
        let capability = |number: usize| {
            let schema = schema(number);
            json!({
                "name": format!("c{number}"), "description": "one of very many", "input": schema, "output": schema,
                "facts": schema, "operations": ["produce", "check", "undo"], "timeout_s": 60, "labels": { "tier": "1" },
            })
        };
        let manifest = json!({ "capabilities": (0..1_000).map(capability).collect::<Vec<_>>() }).to_string();
        assert!(manifest.len() < MANIFEST_MAX_BYTES, "{} bytes", manifest.len());
        let read = |values| {
            parse_within(manifest.as_bytes(), values, LongTexts::Refused)
                .map(|_| ())
                .map_err(|fault| fault.code)
        };
        assert_eq!(read(MANIFEST_MAX_VALUES), Ok(()));
        assert_eq!(
            read(MANIFEST_MAX_VALUES * 4 / 5),
            Err("too_many_values"),
            "the limit is not far above what is needed"
        );
    }

    #[test]
    fn a_value_is_counted_as_it_is_written() {
        for text in [r#"{"a":[1,2.50,"ä\n"]}"#, "null", "12345678901234567890123"] {
            assert_eq!(written_bytes(&serde_json::from_str(text).unwrap()), text.len());
        }
    }
}
