//! Reads a schema document into the nodes of its graph, and finds what is wrong with it beyond its form.

use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::fault::{Fault, join};
use crate::limits::{FAULTS_MAX, SCHEMA_ALTERNATIVES, SCHEMA_COUNT};
use crate::name;
use crate::text::{did_you_mean, excerpt, nearest, quoted};

use super::graph::Node;
use super::keywords::{self, Applies, ENTITY, Holds, SECRET, SELECTABLE, VOLATILE, holds};

/// A `default` or an example, and the schema that it stands in.
pub(super) struct Example<'a> {
    /// Where it is.
    pub(super) pointer: String,
    /// Where the schema is.
    pub(super) schema: String,
    pub(super) value: &'a Value,
}

/// What was read.
pub(super) struct Read<'a> {
    pub(super) nodes: Vec<Node>,
    /// Where each node is in the document.
    pub(super) pointers: Vec<String>,
    /// Every pattern and where it is.
    pub(super) patterns: Vec<(String, &'a str)>,
    /// The patterns of properties.
    pub(super) matched: Vec<String>,
    pub(super) examples: Vec<Example<'a>>,
    pub(super) faults: Vec<Fault>,
    pub(super) warnings: Vec<Fault>,
}

const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// Reads a measured document. It works off a list and does not recurse, because references may form long chains.
pub(super) fn read(document: &Value) -> Read<'_> {
    let mut reader = Reader {
        document,
        known: HashMap::new(),
        todo: Vec::new(),
        read: Read {
            nodes: Vec::new(),
            pointers: Vec::new(),
            patterns: Vec::new(),
            matched: Vec::new(),
            examples: Vec::new(),
            faults: Vec::new(),
            warnings: Vec::new(),
        },
    };
    reader.node(String::new(), document);
    while let Some((node, value)) = reader.todo.pop() {
        reader.schema(node, value);
    }
    let mut read = reader.read;
    // Found in the order of the list; told in the order of the document.
    read.faults.sort_by(|one, other| one.pointer.cmp(&other.pointer));
    read.warnings.sort_by(|one, other| one.pointer.cmp(&other.pointer));
    read.faults.truncate(FAULTS_MAX);
    read
}

struct Reader<'a> {
    document: &'a Value,
    /// A schema is known by its place in memory, so that one that is referred to is read once.
    known: HashMap<*const Value, usize>,
    todo: Vec<(usize, &'a Value)>,
    read: Read<'a>,
}

impl<'a> Reader<'a> {
    /// The number of the schema at a place; it is read later if it is new.
    fn node(&mut self, pointer: String, value: &'a Value) -> usize {
        if let Some(node) = self.known.get(&std::ptr::from_ref(value)) {
            return *node;
        }
        let node = self.read.nodes.len();
        self.read.nodes.push(Node::default());
        self.read.pointers.push(pointer);
        self.known.insert(std::ptr::from_ref(value), node);
        self.todo.push((node, value));
        node
    }

    fn fault(&mut self, pointer: String, code: &'static str, message: impl Into<String>) {
        self.read.faults.push(Fault::new(pointer, code, message));
    }

    fn schema(&mut self, node: usize, value: &'a Value) {
        let pointer = self.read.pointers[node].clone();
        let keywords = match value {
            Value::Object(keywords) => keywords,
            Value::Bool(_) => return,
            _ => return self.fault(pointer, "type", "a schema is an object, true or false"),
        };
        for (keyword, value) in keywords {
            let at = join(&pointer, keyword);
            match (holds(keyword), value) {
                (Some(Holds::Schema(applies)), schema) => self.one(node, keyword, applies, at, schema),
                (Some(Holds::List(applies)), Value::Array(schemas)) => {
                    self.list(node, keyword, applies, &at, schemas);
                }
                (Some(Holds::Map(applies)), Value::Object(schemas)) => {
                    self.map(node, keyword, applies, &at, schemas);
                }
                (None, _) => self.unknown(keyword, at),
                _ => self.data(node, keyword, at, value),
            }
        }
        if keywords.get(SECRET) == Some(&Value::Bool(true)) && keywords.contains_key(ENTITY) {
            let message =
                "is the key of an entity, by which everybody can search, and cannot be a secret as well";
            self.fault(join(&pointer, SECRET), "secret_entity", message);
        }
        if keywords.get(SECRET) == Some(&Value::Bool(true))
            && keywords.get(SELECTABLE) == Some(&Value::Bool(true))
        {
            let message = "is what everybody can choose a dataset by, and cannot be a secret as well";
            self.fault(join(&pointer, SECRET), "secret_selectable", message);
        }
    }

    fn one(&mut self, node: usize, keyword: &str, applies: Applies, at: String, schema: &'a Value) {
        let inner = self.node(at, schema);
        let node = &mut self.read.nodes[node];
        match (keyword, applies) {
            ("additionalProperties", _) => node.additional = Some(inner),
            ("items", _) => node.items = Some(inner),
            ("unevaluatedProperties" | "unevaluatedItems", _) => {
                node.loose.push(inner);
                node.again = true;
            }
            (_, Applies::Inside) => node.loose.push(inner),
            (_, Applies::Nowhere) => {}
            (_, applies) => node.same.push((inner, applies)),
        }
    }

    fn list(&mut self, node: usize, keyword: &str, applies: Applies, at: &str, schemas: &'a [Value]) {
        if schemas.len() > SCHEMA_ALTERNATIVES {
            let message = format!(
                "has {} schemas; at most {SCHEMA_ALTERNATIVES} are allowed in one list",
                schemas.len()
            );
            self.fault(at.to_owned(), "limit", message);
        }
        for (index, schema) in schemas.iter().enumerate() {
            let inner = self.node(format!("{at}/{index}"), schema);
            let node = &mut self.read.nodes[node];
            match keyword {
                "prefixItems" => node.prefix.push(inner),
                _ => node.same.push((inner, applies)),
            }
        }
    }

    fn map(
        &mut self,
        node: usize,
        keyword: &str,
        applies: Applies,
        at: &str,
        schemas: &'a Map<String, Value>,
    ) {
        for (name, schema) in schemas {
            let at = join(at, name);
            if keyword == "dependencies" && schema.is_array() {
                continue;
            }
            if keyword == "patternProperties" {
                self.read.patterns.push((at.clone(), name));
            }
            let inner = self.node(at, schema);
            let node = &mut self.read.nodes[node];
            match (keyword, applies) {
                ("properties", _) => {
                    node.properties.insert(name.clone(), inner);
                }
                ("patternProperties", _) => {
                    node.patterns.push((name.clone(), inner));
                    self.read.matched.push(name.clone());
                }
                (_, Applies::Nowhere) => {}
                (_, applies) => node.same.push((inner, applies)),
            }
        }
    }

    fn data(&mut self, node: usize, keyword: &str, at: String, value: &'a Value) {
        match keyword {
            "$ref" => self.reference(node, at, value),
            "$dynamicRef" | "$recursiveRef" => self.fault(at, "ref_not_allowed", LOCAL_ONLY),
            "$schema" => self.dialect(at, value),
            "$id" if node != 0 => {
                self.fault(
                    at,
                    "ref_not_allowed",
                    "a schema within a schema has no `$id`: it would change what `$ref` means",
                );
            }
            "pattern" => {
                if let Some(text) = value.as_str() {
                    self.read.patterns.push((at, text));
                }
            }
            "enum" => {
                // Text is looked up; anything else is compared with one after another.
                let options = value
                    .as_array()
                    .map_or(0, |options| options.iter().filter(|one| !one.is_string()).count());
                self.read.nodes[node].options = options as u64;
            }
            "multipleOf" if value.as_f64() == Some(0.0) => {
                self.fault(at, "range", "is 0; a number above 0 is allowed");
            }
            "minLength" | "maxLength" | "minItems" | "maxItems" | "minProperties" | "maxProperties"
            | "minContains" | "maxContains"
                if value.as_f64().is_some_and(|count| count > SCHEMA_COUNT as f64) =>
            {
                let message =
                    format!("is {}; at most {SCHEMA_COUNT} is allowed", excerpt(&value.to_string()));
                self.fault(at, "range", message);
            }
            "default" => {
                self.read.nodes[node].default = Some(value.clone());
                self.example(node, at, value);
            }
            "examples" => {
                for (index, example) in value.as_array().into_iter().flatten().enumerate() {
                    self.example(node, format!("{at}/{index}"), example);
                }
            }
            ENTITY => self.entity(node, at, value),
            SECRET => match value.as_bool() {
                Some(secret) => self.read.nodes[node].secret = secret,
                None => self.fault(at, "type", "is neither true nor false"),
            },
            SELECTABLE => match value.as_bool() {
                Some(selectable) => self.read.nodes[node].selectable = selectable,
                None => self.fault(at, "type", "is neither true nor false"),
            },
            VOLATILE => match value.as_bool() {
                Some(volatile) => self.read.nodes[node].volatile = volatile,
                None => self.fault(at, "type", "is neither true nor false"),
            },
            _ => {}
        }
    }

    fn example(&mut self, node: usize, pointer: String, value: &'a Value) {
        let schema = self.read.pointers[node].clone();
        self.read.examples.push(Example { pointer, schema, value });
    }

    fn entity(&mut self, node: usize, at: String, value: &Value) {
        match value.as_str().map(|kind| name::segment("a kind of entity", kind).map(|()| kind.to_owned())) {
            Some(Ok(kind)) => self.read.nodes[node].entity = Some(kind),
            Some(Err(error)) => self.fault(at, "name_pattern", error.to_string()),
            None => self.fault(at, "type", "is not the name of a kind of entity, like \"customer\""),
        }
    }

    fn dialect(&mut self, at: String, value: &Value) {
        let known = value.as_str().is_some_and(|dialect| dialect.trim_end_matches('#') == DIALECT);
        if !known {
            let message = format!("is {}; leave it out or use {DIALECT}", excerpt(&value.to_string()));
            self.fault(at, "dialect_not_supported", message);
        }
    }

    fn reference(&mut self, node: usize, at: String, value: &Value) {
        let Some(reference) = value.as_str() else { return self.fault(at, "type", "is not a string") };
        if !local(reference) {
            let message = format!("{} is not allowed: {LOCAL_ONLY}", quoted(reference));
            return self.fault(at, "ref_not_allowed", message);
        }
        let Some((pointer, target)) = target(self.document, reference) else {
            let hint = self.near(reference);
            let message = format!("{} leads to no schema in this document{hint}", quoted(reference));
            return self.fault(at, "ref_not_allowed", message);
        };
        let inner = self.node(pointer, target);
        self.read.nodes[node].same.push((inner, Applies::Always));
    }

    /// A definition with a name like the one that was not found.
    fn near(&self, reference: &str) -> String {
        let wanted = reference.rsplit('/').next().unwrap_or_default();
        let definitions = self.document.get("$defs").and_then(Value::as_object);
        did_you_mean(wanted, definitions.into_iter().flatten().map(|(name, _)| name.as_str()))
    }

    /// Unknown keywords are allowed and ignored, which hides a slip.
    fn unknown(&mut self, keyword: &str, at: String) {
        if keyword.starts_with("x-") && nearest(keyword, [ENTITY, SECRET, SELECTABLE, VOLATILE]).is_none() {
            return;
        }
        if let Some(near) = nearest(keyword, keywords::names()) {
            let message =
                format!("{} is not a keyword and is ignored; did you mean {near:?}?", quoted(keyword));
            self.read.warnings.push(Fault::new(at, "unknown_keyword", message));
        }
    }
}

const LOCAL_ONLY: &str = "only `$ref` into the same document is, like \"#/$defs/address\"";

fn local(reference: &str) -> bool {
    reference == "#" || reference.starts_with("#/")
}

/// The schema that a local reference leads to, and where it is.
pub(crate) fn target<'a>(document: &'a Value, reference: &str) -> Option<(String, &'a Value)> {
    let pointer = percent_decoded(reference.strip_prefix('#')?)?;
    let target = document.pointer(&pointer)?;
    (target.is_object() || target.is_boolean()).then_some((pointer, target))
}

/// A reference is a URL: its fragment may escape characters as `%20`.
fn percent_decoded(fragment: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(fragment.len());
    let mut rest = fragment.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
            let value = digit(rest.next())? * 16 + digit(rest.next())?;
            bytes.push(u8::try_from(value).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_reference_may_escape_characters() {
        let document = json!({"$ref": "#/$defs/a%20b~1c", "$defs": {"a b/c": {"type": "string"}}});
        let read = read(&document);
        assert_eq!(read.faults, []);
        assert_eq!(read.nodes[0].same.len(), 1);
    }

    #[test]
    fn a_schema_that_is_referred_to_is_read_once() {
        let document = json!({
            "properties": {"a": {"$ref": "#/$defs/x"}, "b": {"$ref": "#/$defs/x"}},
            "$defs": {"x": {"type": "string"}}
        });
        assert_eq!(read(&document).nodes.len(), 4);
    }
}
