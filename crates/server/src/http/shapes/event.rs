//! Events as they are shown: what happened, and what there is to say about it.

use std::borrow::Cow;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::Value;
use sixpack_model::event::Event;
use sixpack_model::failure::FailureClass;
use sixpack_model::tree::Operation;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::openapi::{KnownFormat, RefOr, SchemaFormat};
use utoipa::{PartialSchema, ToSchema};

use super::scalar::{Text, Time};
use super::word::Said;

/// Names of ids, which events keep without the suffix.
const RENAMED: [(&str, &str); 4] =
    [("session", "session_id"), ("lease", "lease_id"), ("leases", "lease_ids"), ("token", "token_id")];

/// One event of the stream.
pub(in crate::http) struct EventJson<'a>(pub(in crate::http) &'a Event);

/// One event in the timeline of a dataset.
pub(in crate::http) struct TimelineJson<'a> {
    pub(in crate::http) event: &'a Event,
    pub(in crate::http) path: String,
}

impl Serialize for EventJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let event = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &event.sequence)?;
        map.serialize_entry("at", &Time(event.at))?;
        map.serialize_entry("environment", &event.environment)?;
        map.serialize_entry("kind", &event.kind)?;
        if let Some(request) = event.request {
            map.serialize_entry("request_id", &Text(request))?;
        }
        if let Some(tree) = event.tree {
            map.serialize_entry("dataset_id", &Text(tree.part(event.part)))?;
            // A root has no steps above it.
            let path = event.data.get("path").and_then(Value::as_str).unwrap_or_default();
            map.serialize_entry("path", path)?;
        }
        let told_already: &[&str] = if event.tree.is_some() { &["path"] } else { &[] };
        serialize_data(event, told_already, &mut map)?;
        map.end()
    }
}

impl Serialize for TimelineJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("at", &Time(self.event.at))?;
        map.serialize_entry("kind", &self.event.kind)?;
        map.serialize_entry("path", &self.path)?;
        serialize_data(self.event, &["path"], &mut map)?;
        map.end()
    }
}

/// Writes what is known beyond the fixed fields; the message is always there.
fn serialize_data<M: SerializeMap>(event: &Event, except: &[&str], map: &mut M) -> Result<(), M::Error> {
    let data = &event.data;
    map.serialize_entry("message", data.get("message").and_then(Value::as_str).unwrap_or_default())?;
    for (name, value) in data.as_object().into_iter().flatten() {
        if name == "message" || value.is_null() || except.contains(&name.as_str()) {
            continue;
        }
        let renamed = RENAMED.iter().find(|(kept, _)| kept == name).map_or(name.as_str(), |(_, shown)| shown);
        map.serialize_entry(renamed, value)?;
    }
    if let Some(duration_ms) = event.duration_ms {
        map.serialize_entry("duration_ms", &duration_ms)?;
    }
    Ok(())
}

/// The fields that are always there, and those that many kinds have.
fn described(required: &[&str], optional: &[&str]) -> ObjectBuilder {
    let text = || ObjectBuilder::new().schema_type(Type::String);
    let time = text().format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)));
    let mut object = ObjectBuilder::new().property("at", time).required("at");
    for name in required {
        object = object.property(*name, text()).required(*name);
    }
    object = object
        .property("operation", Said::<Operation>::schema())
        .property("class", Said::<FailureClass>::schema());
    let most = ["session_id", "lease_id", "contract", "code", "mode", "channel"];
    for name in optional.iter().chain(&most) {
        object = object.property(*name, text());
    }
    for name in ["attempt", "version", "duration_ms"] {
        object = object.property(name, ObjectBuilder::new().schema_type(Type::Integer));
    }
    object.description(Some("What happened; the fields beyond the required ones depend on `kind`."))
}

impl PartialSchema for EventJson<'_> {
    fn schema() -> RefOr<Schema> {
        described(&["environment", "kind", "message"], &["request_id", "dataset_id", "path"])
            .property("id", ObjectBuilder::new().schema_type(Type::Integer))
            .required("id")
            .into()
    }
}

impl ToSchema for EventJson<'_> {
    fn name() -> Cow<'static, str> {
        "Event".into()
    }
}

impl PartialSchema for TimelineJson<'_> {
    fn schema() -> RefOr<Schema> {
        described(&["kind", "path", "message"], &[]).into()
    }
}

impl ToSchema for TimelineJson<'_> {
    fn name() -> Cow<'static, str> {
        "TimelineEntry".into()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use sixpack_model::ids::{RequestId, TreeId};
    use uuid::Uuid;

    use super::*;

    #[test]
    fn an_event_names_its_ids_and_leaves_out_what_is_not_there() {
        let event = Event {
            sequence: 7,
            at: "2026-11-22T10:41:07.42Z".parse().unwrap(),
            environment: "default".to_owned(),
            kind: "task.done".into(),
            request: Some(RequestId(Uuid::nil())),
            tree: Some(TreeId(Uuid::nil())),
            part: 2,
            duration_ms: Some(289),
            data: json!({ "session": "ses_1", "attempt": 1, "message": null, "code": null, "path": "a › b" }),
        };
        assert_eq!(
            serde_json::to_value(EventJson(&event)).unwrap(),
            json!({
                "id": 7, "at": "2026-11-22T10:41:07.420Z", "environment": "default", "kind": "task.done",
                "request_id": "req_00000000000000000000000000", "dataset_id": "ds_00000000000000000000000000_2",
                "path": "a › b", "message": "", "session_id": "ses_1", "attempt": 1, "duration_ms": 289
            })
        );
        let of_root = Event { part: 0, duration_ms: None, data: json!({}), ..event };
        assert_eq!(serde_json::to_value(EventJson(&of_root)).unwrap()["path"], "");
        let of_request = Event { tree: None, data: json!({ "path": "a › x/y@1" }), ..of_root };
        let of_request = serde_json::to_value(EventJson(&of_request)).unwrap();
        assert_eq!((&of_request["path"], of_request.get("dataset_id")), (&json!("a › x/y@1"), None));
    }
}
