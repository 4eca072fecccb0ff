//! Secrets: what is shown of a payload, and to whom.
//!
//! Properties that a schema marks as secret are covered for everybody but the token that holds the live lease. When the
//! schema is not known, or a scenario that was never type-checked hands on nobody knows what, everything is covered.

use std::borrow::Cow;

use serde_json::Value;
use sixpack_engine::Caller;
use sixpack_model::contract::Contract;
use sixpack_model::lease::{Lease, LeaseStatus};
use sixpack_model::schema::Schema;

/// What stands in place of what is covered.
const COVERED: &str = "***";

/// Whether secrets are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum Secrets {
    /// To the holder of the live lease.
    Shown,
    /// To everybody else.
    Covered,
}

impl Secrets {
    /// What the caller may see of a dataset under this lease.
    pub(in crate::http) fn of_lease(caller: &Caller, lease: &Lease) -> Self {
        if lease.status == LeaseStatus::Held && lease.token == caller.token {
            Self::Shown
        } else {
            Self::Covered
        }
    }

    /// What the caller may see of a dataset that may be leased.
    pub(in crate::http) fn of_leases<'a>(
        caller: &Caller,
        leases: impl IntoIterator<Item = &'a Lease>,
    ) -> Self {
        let shown = leases.into_iter().any(|lease| Self::of_lease(caller, lease) == Self::Shown);
        if shown { Self::Shown } else { Self::Covered }
    }

    /// The input of a dataset.
    pub(in crate::http) fn input<'a>(self, contract: Option<&Contract>, input: &'a Value) -> Cow<'a, Value> {
        self.of_schema(contract.map(|contract| &contract.input), input)
    }

    /// The output of a dataset.
    pub(in crate::http) fn output<'a>(
        self,
        contract: Option<&Contract>,
        output: &'a Value,
    ) -> Cow<'a, Value> {
        let known =
            contract.filter(|contract| contract.scenario().is_none() || *contract.output.document() != true);
        self.of_schema(known.map(|contract| &contract.output), output)
    }

    /// The facts of a part made by a capability; what has no schema is shown as it is.
    pub(in crate::http) fn facts<'a>(self, contract: Option<&Contract>, facts: &'a Value) -> Cow<'a, Value> {
        let capability = contract.and_then(Contract::capability);
        match capability.map(|capability| &capability.facts) {
            Some(None) => Cow::Borrowed(facts),
            Some(Some(schema)) => self.of_schema(Some(schema), facts),
            None => self.of_schema(None, facts),
        }
    }

    fn of_schema<'a>(self, schema: Option<&Schema>, value: &'a Value) -> Cow<'a, Value> {
        match (self, schema) {
            (Self::Shown, _) => Cow::Borrowed(value),
            (Self::Covered, Some(schema)) if schema.has_secrets() => Cow::Owned(schema.redacted(value)),
            (Self::Covered, Some(_)) => Cow::Borrowed(value),
            (Self::Covered, None) => Cow::Owned(Value::from(COVERED)),
        }
    }
}

/// What a value whose secrets are covered has at a JSON pointer: the cover, when that lies above it.
pub(in crate::http) fn inside<'a>(covered: &'a Value, pointer: &str) -> Option<&'a Value> {
    let ends = pointer.match_indices('/').map(|(end, _)| end);
    let cover = ends
        .map(|end| &pointer[..end])
        .find_map(|above| covered.pointer(above).filter(|value| value.as_str() == Some(COVERED)));
    cover.or_else(|| covered.pointer(pointer))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_are_covered_for_everybody_but_the_holder() {
        let schema = Schema::parse(&json!({
            "type": "object",
            "properties": { "pin": { "type": "string", "x-secret": true }, "id": { "type": "string" } }
        }));
        let (schema, value) = (schema.unwrap(), json!({ "pin": "1234", "id": "c-1" }));
        let shown = |secrets: Secrets, schema| secrets.of_schema(schema, &value).into_owned();
        assert_eq!(shown(Secrets::Shown, Some(&schema)), value);
        assert_eq!(shown(Secrets::Covered, Some(&schema)), json!({ "pin": "***", "id": "c-1" }));
        assert_eq!(shown(Secrets::Covered, None), json!("***"));
    }

    #[test]
    fn what_lies_below_a_cover_is_covered() {
        let value = json!({ "card": "***", "list": [{ "a/b": "***", "c": 1 }] });
        for (pointer, found) in [
            ("", Some(value.clone())),
            ("/card", Some(json!("***"))),
            ("/card/number", Some(json!("***"))),
            ("/list/0/a~1b", Some(json!("***"))),
            ("/list/0/a~1b/x/y", Some(json!("***"))),
            ("/list/0/c", Some(json!(1))),
            ("/list/1", None),
        ] {
            assert_eq!(inside(&value, pointer), found.as_ref(), "{pointer}");
        }
        assert_eq!(inside(&json!("***"), "/x"), Some(&json!("***")));
    }
}
