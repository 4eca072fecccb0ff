//! Literal secrets: what a scenario file writes out under a name that says that it is a secret.
//!
//! Everybody who may read the catalogue may read a scenario as it was applied, so a secret in it is one no more. What is
//! told here is a guess by names and looks, and never more than a warning. An expression is no literal.

use std::sync::Arc;

use serde_json::Value;

use crate::diagnostic::{Diagnostic, Position};
use crate::schema::keywords::{Applies, Holds, SECRET, holds};
use crate::template::OPENING;
use crate::text::excerpt;
use crate::yaml::{Content, Entry, Node};

/// Last words of names under which any text is a secret.
const SECRETS: [&str; 7] = ["password", "passwd", "passphrase", "pwd", "secret", "clientsecret", "secretkey"];

/// Last words of names under which a text is a secret when it looks drawn at random: a token may as well be the name of one.
const KEYS: [&str; 9] = [
    "token",
    "apikey",
    "accesskey",
    "privatekey",
    "signingkey",
    "encryptionkey",
    "authkey",
    "credential",
    "authorization",
];

/// Characters that a secret has at least: `yes`, `no`, `on`, `off` and `any` say whether there is one.
const SECRET_CHARS: usize = 4;

/// Letters and digits in a row from which on nobody has thought of them: half the length of the shortest keys in use.
const RANDOM_CHARS: usize = 16;

/// Whether a value that stands under a name is a secret that is written out.
pub(crate) fn is_literal_secret(name: &str, value: &Value) -> bool {
    let Some(text) = written(value) else { return false };
    let text = text.trim();
    let words = words(name);
    let last = words.last().map_or("", String::as_str);
    let two: String = words.iter().rev().take(2).rev().map(String::as_str).collect();
    let ends_with = |known: &[&str]| known.iter().any(|known| is_word(last, known) || is_word(&two, known));
    (ends_with(&SECRETS) && text.chars().count() >= SECRET_CHARS && !stands_for_one(text))
        || (ends_with(&KEYS) && looks_random(text))
}

/// Whether a value that is known to be a secret is written out.
pub(crate) fn is_written_out(value: &Value) -> bool {
    written(value).is_some_and(|text| !text.trim().is_empty())
}

/// The warning about one of them. It never quotes the value.
pub(crate) fn warning(file: &str, at: Position, name: &str) -> Diagnostic {
    let message = format!("`{}` is a secret that is written out in the file", excerpt(name));
    Diagnostic::new(file, at, "literal_secret", message).hint(
        "whoever may read the catalogue can read it: take it as an input, or have the supplier look it up",
    )
}

/// Literal secrets that a schema of the file gives away as a default, a constant or an example.
pub(super) fn in_schema(file: &str, schema: &Node) -> Vec<Diagnostic> {
    let mut search = Search { file, found: Vec::new() };
    search.schema(schema, None);
    search.found
}

/// Literal secrets in a map of plain values.
pub(super) fn in_values(file: &str, values: &Node) -> Vec<Diagnostic> {
    let mut search = Search { file, found: Vec::new() };
    search.value(values, None, false);
    search.found
}

struct Search<'a> {
    file: &'a str,
    found: Vec<Diagnostic>,
}

impl Search<'_> {
    fn schema(&mut self, node: &Node, name: Option<&str>) {
        let entries = fields(node);
        let says = |keyword: &str| entries.iter().find(|entry| entry.name == keyword);
        let marked = says(SECRET).is_some_and(|entry| entry.value.json() == Value::Bool(true));
        // What may be chosen from is published with the contract.
        let listed = says("enum").is_some() && !marked;
        for Entry { name: keyword, value, .. } in entries {
            match (keyword.as_str(), holds(keyword)) {
                ("default" | "const", _) if !listed => self.value(value, name, marked),
                ("examples", _) if !listed => {
                    elements(value).iter().for_each(|example| self.value(example, name, marked));
                }
                (_, Some(Holds::Schema(_))) => self.schema(value, name),
                (_, Some(Holds::List(_))) => {
                    elements(value).iter().for_each(|schema| self.schema(schema, name));
                }
                (_, Some(Holds::Map(applies))) => {
                    for Entry { name: key, value, .. } in fields(value) {
                        let inside = (applies == Applies::Inside).then_some(key.as_str());
                        self.schema(value, inside.or(name));
                    }
                }
                _ => {}
            }
        }
    }

    fn value(&mut self, node: &Node, name: Option<&str>, marked: bool) {
        match &node.content {
            Content::Map(entries) => {
                entries.iter().for_each(|entry| self.value(&entry.value, Some(&entry.name), marked));
            }
            Content::List(values) => values.iter().for_each(|value| self.value(value, name, marked)),
            Content::Scalar { .. } => {
                let value = node.json();
                let is_secret = match name {
                    _ if marked => is_written_out(&value),
                    Some(name) => is_literal_secret(name, &value),
                    None => false,
                };
                if is_secret {
                    self.found.push(warning(self.file, node.position(), name.unwrap_or("the value")));
                }
            }
        }
    }
}

/// The fields of a map; of anything else none.
fn fields(node: &Node) -> &[Entry] {
    match &node.content {
        Content::Map(entries) => entries,
        Content::Scalar { .. } | Content::List(_) => &[],
    }
}

/// The elements of a list; of anything else none.
fn elements(node: &Node) -> &[Arc<Node>] {
    match &node.content {
        Content::List(values) => values,
        Content::Scalar { .. } | Content::Map(_) => &[],
    }
}

/// The text of a value that may be a secret; an expression is none.
fn written(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => (!text.contains(OPENING)).then(|| text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// `***`, `xxxx` and `<password>` are what people write in place of one.
fn stands_for_one(text: &str) -> bool {
    let mut characters = text.chars();
    let first = characters.next();
    characters.all(|character| Some(character) == first) || (text.starts_with('<') && text.ends_with('>'))
}

/// Names and sentences are made of short words; what was drawn at random mixes letters with digits for long.
fn looks_random(text: &str) -> bool {
    let mixed = |piece: &str| {
        piece.bytes().any(|byte| byte.is_ascii_digit())
            && piece.bytes().any(|byte| byte.is_ascii_alphabetic())
    };
    let pieces = || text.split(|character: char| !character.is_ascii_alphanumeric());
    pieces().any(|piece| piece.len() >= RANDOM_CHARS && mixed(piece)) || (is_uuid(text) && mixed(text))
}

fn is_uuid(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12])
        && groups.iter().all(|group| group.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// One word, also in the plural.
fn is_word(text: &str, known: &str) -> bool {
    text.strip_prefix(known).is_some_and(|rest| rest.is_empty() || rest == "s")
}

/// The words of `snake_case`, `kebab-case`, `camelCase` and `HTTPHeader`, in lower case.
fn words(name: &str) -> Vec<String> {
    let characters: Vec<char> = name.chars().collect();
    let mut words = vec![String::new()];
    for (place, character) in characters.iter().enumerate() {
        let before = place.checked_sub(1).map(|before| characters[before]);
        let after_small = before.is_some_and(|before| before.is_lowercase() || before.is_ascii_digit());
        let before_small = characters.get(place + 1).is_some_and(|after| after.is_lowercase());
        let begins = character.is_uppercase() && (after_small || before_small);
        if begins || !character.is_alphanumeric() {
            words.push(String::new());
        }
        if character.is_alphanumeric() {
            words.last_mut().expect("a word is always begun").extend(character.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_name_is_cut_into_its_words() {
        for (name, expected) in [
            ("db_password", vec!["db", "password"]),
            ("apiKey", vec!["api", "key"]),
            ("APIKey", vec!["api", "key"]),
            ("X-Auth-Token", vec!["x", "auth", "token"]),
            ("token2", vec!["token2"]),
            ("", vec![]),
        ] {
            assert_eq!(words(name), expected, "{name}");
        }
    }

    #[test]
    fn a_secret_is_told_by_its_name_and_its_looks() {
        for (name, value) in [
            ("password", json!("hunter2")),
            ("dbPassword", json!("swordfish")),
            ("passwords", json!("hunter2")),
            ("admin-pwd", json!(12_345_678)),
            ("passphrase", json!("correct horse battery staple")),
            ("client_secret", json!("abc1")),
            ("clientSecret", json!("abc1")),
            ("SECRET_KEY", json!("abc1")),
            ("token", json!("ghp_16C7e42F292c6912E7710c838347Ae178B4a")),
            ("access-token", json!("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.x")),
            ("apiKey", json!("9f86d081884c7d659a2feaa0c55ad015")),
            ("api_keys", json!("sk_live_51H8xYzAbCdEfGhIj")),
            ("accesskey", json!("AKIAIOSFODNN7EXAMPLE")),
            ("token", json!("3f2504e0-4f89-11d3-9a0c-0305e82c3301")),
            ("Authorization", json!("Bearer 9f86d081884c7d659a2feaa0c55ad015")),
        ] {
            assert!(is_literal_secret(name, &value), "{name}: {value}");
        }
    }

    #[test]
    fn what_only_sounds_like_one_is_left_alone() {
        for (name, value) in [
            ("password", json!("${{ input.password }}")),
            ("password", json!("pw-${{ each.index }}")),
            ("password", json!("")),
            ("password", json!("***")),
            ("password", json!("xxxxxxxx")),
            ("password", json!("<password>")),
            ("password", json!("yes")),
            ("password", json!(true)),
            ("password", json!(null)),
            ("password_policy", json!("strict-2024")),
            ("secret_santa", json!("Ada Lovelace")),
            ("token", json!("hunter2")),
            ("token", json!("loyalty-2024-standard-visitor")),
            ("token", json!("TheQuickBrownFoxJumpsOver")),
            ("token", json!("/var/run/tokens2/visitor")),
            ("token", json!("4111111111111111")),
            ("token_type", json!("9f86d081884c7d659a2feaa0c55ad015")),
            ("tokenizer", json!("9f86d081884c7d659a2feaa0c55ad015")),
            ("key", json!("9f86d081884c7d659a2feaa0c55ad015")),
            ("customer_id", json!("9f86d081884c7d659a2feaa0c55ad015")),
            ("compass", json!("9f86d081884c7d659a2feaa0c55ad015")),
        ] {
            assert!(!is_literal_secret(name, &value), "{name}: {value}");
        }
    }
}
