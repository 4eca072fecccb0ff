//! Objects of a request as people write them: JSON, a file, and single values.

use std::io::Read;
use std::path::Path;

use serde_json::{Map, Value};

use sixpack::wire::{self, Problem};

use crate::exit::Exit;
use crate::fault::Fault;

/// What is written so, and by which flags.
pub(crate) struct Written {
    what: &'static str,
    /// The flag of the whole object.
    whole: &'static str,
    /// The flag of a single value.
    single: &'static str,
}

/// The input.
pub(crate) const INPUT: Written = Written { what: "input", whole: "--input", single: "--set" };

/// What is preferred.
pub(super) const PREFER: Written = Written { what: "preference", whole: "--prefer-json", single: "--prefer" };

/// What is chosen by; there is no flag of the whole.
pub(super) const SELECT: Written = Written { what: "choice", whole: "", single: "--select" };

impl Written {
    /// Puts the object together; nothing when none of its flags was said.
    pub(crate) fn object(&self, whole: Option<&str>, single: &[String]) -> Result<Option<Value>, Fault> {
        if whole.is_none() && single.is_empty() {
            return Ok(None);
        }
        let mut object = match whole {
            Some(text) => self.read(text)?,
            None => Map::new(),
        };
        for setting in single {
            self.set(&mut object, setting)?;
        }
        Ok(Some(Value::Object(object)))
    }

    /// Why the server did not take the object, with what helps against it.
    pub(crate) fn told(&self, single: &[String], error: sixpack::Error) -> Fault {
        let hint = match &error {
            sixpack::Error::Problem(problem) => self.hint(single, problem),
            _ => None,
        };
        let fault = Fault::from(error);
        match hint {
            Some(hint) => fault.next(hint),
            None => fault,
        }
    }

    /// How to write a value as text that was read as JSON and is refused, because text is wanted there.
    fn hint(&self, single: &[String], problem: &Problem) -> Option<String> {
        let refused = |path: &str| {
            let pointer = format!("/input/{}", path.replace('.', "/"));
            let about = |fault: &wire::Fault| fault.pointer.as_deref() == Some(pointer.as_str());
            let of_text =
                |fault: &wire::Fault| fault.message.contains("string") || fault.message.contains('"');
            problem.errors.iter().any(|fault| about(fault) && of_text(fault))
        };
        let (path, text) =
            single.iter().filter_map(|setting| setting.split_once('=')).find(|(path, text)| {
                let scalar = serde_json::from_str(text).is_ok_and(|value: Value| !value.is_string());
                scalar && refused(path)
            })?;
        let written = Value::String(text.to_owned());
        Some(format!("`{text}` was read as JSON; for a text write {} '{path}={written}'", self.single))
    }

    fn read(&self, text: &str) -> Result<Map<String, Value>, Fault> {
        let (text, place) = match text.strip_prefix('@') {
            Some("-") => {
                let mut read = String::new();
                let failed =
                    |error| Fault::new(Exit::Io, format!("the standard input cannot be read: {error}"));
                std::io::stdin().read_to_string(&mut read).map_err(failed)?;
                (read, "the standard input")
            }
            Some(path) => {
                let path_read = Path::new(path);
                (
                    std::fs::read_to_string(path_read)
                        .map_err(|error| Fault::unreadable(path_read, &error))?,
                    path,
                )
            }
            None => (text.to_owned(), self.whole),
        };
        let Self { what, single, .. } = self;
        match serde_json::from_str(&text) {
            Ok(Value::Object(object)) => Ok(object),
            Ok(_) => Err(Fault::new(Exit::Data, format!("the {what} ({place}) is JSON, but no object"))
                .next("write it like '{\"country\":\"FR\"}'")),
            Err(error) => Err(Fault::new(Exit::Data, format!("the {what} ({place}) is no JSON: {error}"))
                .next(format!("write it like '{{\"country\":\"FR\"}}', or use {single} country=FR"))),
        }
    }

    /// Sets one value: JSON if it is JSON, else text. Dots lead into objects.
    fn set(&self, mut object: &mut Map<String, Value>, setting: &str) -> Result<(), Fault> {
        let single = self.single;
        let wrong = |why: &str| {
            Fault::new(Exit::Usage, format!("{single} {setting}: {why}"))
                .next(format!("write it like {single} country=FR or {single} address.city=Paris"))
        };
        let (path, text) = setting.split_once('=').ok_or_else(|| wrong("there is no ="))?;
        let mut names: Vec<&str> = path.split('.').collect();
        let last = names.pop().unwrap_or_default();
        if last.is_empty() || names.iter().any(|name| name.is_empty()) {
            return Err(wrong("a name is empty"));
        }
        for name in names {
            let inner = object.entry(name).or_insert_with(|| Value::Object(Map::new()));
            object = inner.as_object_mut().ok_or_else(|| wrong(&format!("`{name}` is no object")))?;
        }
        let value = serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()));
        object.insert(last.to_owned(), value);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn made(whole: Option<&str>, single: &[&str]) -> Result<Option<Value>, Exit> {
        let single: Vec<_> = single.iter().map(|text| (*text).to_owned()).collect();
        INPUT.object(whole, &single).map_err(|fault| fault.exit)
    }

    #[test]
    fn an_input_is_json_overlaid_with_single_values() {
        assert_eq!(made(None, &[]), Ok(None));
        assert_eq!(made(Some("{\"a\":1,\"b\":2}"), &["b=3"]), Ok(Some(json!({"a":1,"b":3}))));
        assert_eq!(
            made(None, &["country=FR", "lines=2", "vip=true", "zip=01234", "name=\"7\"", "empty=", "x=a=b"]),
            Ok(Some(
                json!({"country":"FR","lines":2,"vip":true,"zip":"01234","name":"7","empty":"","x":"a=b"})
            ))
        );
        assert_eq!(made(None, &["a.b.c=1", "a.d=2"]), Ok(Some(json!({"a":{"b":{"c":1},"d":2}}))));
    }

    #[test]
    fn a_fault_names_the_flag_that_it_is_in() {
        let told = |fault: Fault| format!("{} {}", fault.what, fault.next.unwrap_or_default());
        let whole = told(PREFER.object(Some("[]"), &[]).unwrap_err());
        assert!(whole.starts_with("the preference (--prefer-json) is JSON, but no object"), "{whole}");
        let broken = told(PREFER.object(Some("{"), &[]).unwrap_err());
        assert!(broken.ends_with("or use --prefer country=FR"), "{broken}");
        let single = told(SELECT.object(None, &["slot".to_owned()]).unwrap_err());
        assert!(
            single.starts_with("--select slot: there is no = write it like --select country=FR"),
            "{single}"
        );
        let chosen = SELECT.object(None, &["slot=[\"MORNING\",\"EVENING\"]".to_owned()]).unwrap();
        assert_eq!(chosen, Some(json!({"slot":["MORNING","EVENING"]})));
    }

    #[test]
    fn a_number_where_text_is_wanted_is_told_how_to_be_written() {
        let problem = |pointer: &str, message: &str| -> Problem {
            let fault = json!({"pointer": pointer, "code": "type", "message": message});
            serde_json::from_value(json!({"status": 422, "code": "input_invalid", "errors": [fault]}))
                .unwrap()
        };
        let single = ["name=7".to_owned(), "lines=2".to_owned()];
        let hint = INPUT.hint(&single, &problem("/input/name", "7 is not one of null, string")).unwrap();
        assert!(hint.ends_with("for a text write --set 'name=\"7\"'"), "{hint}");
        assert_eq!(INPUT.hint(&single, &problem("/input/lines", "2 is above the maximum of 1")), None);
        assert_eq!(
            INPUT.hint(&["name=x".to_owned()], &problem("/input/name", "\"x\" is not a string")),
            None
        );
        let inner = ["to.zip=01".to_owned(), "to.zip=10".to_owned()];
        assert!(INPUT.hint(&inner, &problem("/input/to/zip", "10 is not a string")).is_some());
    }

    #[test]
    fn numbers_keep_their_digits() {
        let input = made(None, &["id=123456789012345678901234567890"]).unwrap().unwrap();
        assert_eq!(input.to_string(), "{\"id\":123456789012345678901234567890}");
    }

    #[test]
    fn what_is_no_input_is_refused_by_its_kind() {
        assert_eq!(made(Some("{"), &[]), Err(Exit::Data));
        assert_eq!(made(Some("[]"), &[]), Err(Exit::Data));
        assert_eq!(made(Some("@/nowhere/at/all.json"), &[]), Err(Exit::Data));
        assert_eq!(made(None, &["country"]), Err(Exit::Usage));
        assert_eq!(made(None, &["=x"]), Err(Exit::Usage));
        assert_eq!(made(None, &["a=1", "a.b=2"]), Err(Exit::Usage));
    }
}
