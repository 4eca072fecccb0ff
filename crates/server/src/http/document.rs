//! The OpenAPI document: collected from the operations, completed with what holds for all of them.

use std::sync::LazyLock;

use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::auth::{Access, OPERATIONS};
use super::shortage::ShortageJson;
use crate::edge::query::{NoParameters, Query};

/// A refusal, as RFC 9457 has it.
#[derive(ToSchema)]
#[schema(as = Problem)]
#[expect(dead_code, reason = "it describes what the edge writes")]
pub(super) struct ProblemJson {
    /// The page about the code.
    r#type: String,
    title: String,
    status: u16,
    /// Stable; branch on it.
    code: String,
    /// What happened and what to do next, for people.
    detail: String,
    /// Every single fault, at most 50.
    #[schema(max_items = 50)]
    errors: Option<Vec<ProblemFaultJson>>,
    /// Of `out_of_stock`: what is there, what is being made, and when to ask again.
    stock: Option<ShortageJson<'static>>,
    request_id: String,
}

/// One fault of several.
#[derive(ToSchema)]
#[schema(as = ProblemFault)]
#[expect(dead_code, reason = "it describes what the edge writes")]
struct ProblemFaultJson {
    /// JSON Pointer into the body, or `?name` for a parameter.
    pointer: String,
    code: String,
    message: String,
    /// The scenario file.
    file: Option<String>,
    /// From 1.
    line: Option<u64>,
    /// In characters, from 1.
    column: Option<u64>,
    /// In characters.
    length: Option<u64>,
    /// What to do about it.
    hint: Option<String>,
}

/// Problems that any operation may answer with.
const EVERYWHERE: [(&str, &str); 3] = [
    ("400", "Not readable as HTTP, as JSON or as parameters"),
    ("500", "`internal`: a mistake of the server"),
    ("503", "`unavailable`, `storage_full`, `overloaded`: ask again after `Retry-After`"),
];

/// Problems that operations answer with that need a token.
const WITH_TOKEN: [(&str, &str); 3] = [
    ("401", "`unauthenticated`"),
    ("403", "`forbidden`: the role does not suffice"),
    ("429", "`too_many_polls`, `too_many_heartbeats`: ask again after `Retry-After`"),
];

/// Problems that operations with a body or with parameters answer with.
const WITH_INPUT: [(&str, &str); 1] = [("422", "Readable, and wrong: `errors` lists every fault")];

/// Problems that operations with a body answer with.
const WITH_BODY: [(&str, &str); 2] =
    [("413", "`body_too_large`"), ("415", "`content_type`, `content_encoding`")];

static DOCUMENT: LazyLock<String> = LazyLock::new(openapi);

/// The OpenAPI 3.1 document of the API: pretty JSON in a stable order, with a line end.
pub fn openapi() -> String {
    let (_, mut described) = super::operations().merge(super::other_operations()).split_for_parts();
    described.info = utoipa::openapi::InfoBuilder::new()
        .title("Sixpack")
        .description(Some("Request business states that independently owned services agree on."))
        .version(env!("CARGO_PKG_VERSION"))
        .license(Some(
            utoipa::openapi::LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0")).build(),
        ))
        .build();
    let mut document = serde_json::to_value(&described).expect("the description can be written");
    let schemas = document["components"]["schemas"].as_object_mut().expect("there are schemas");
    schemas.extend(problem_schemas());
    drop_null(&mut document);
    describe_in_place(&mut document);
    refer_to_components(&mut document);
    complete_operations(&mut document);
    document["components"]["securitySchemes"] =
        json!({ "token": { "type": "http", "scheme": "bearer", "bearerFormat": "sxp_…" } });
    // Whatever order the library keeps, the document has one.
    document.sort_all_objects();
    let mut text = serde_json::to_string_pretty(&document).expect("a value can be written");
    text.push('\n');
    text
}

/// Reads this document
#[utoipa::path(get, path = "/openapi.json", tag = "health", responses(
    (status = 200, description = "OpenAPI 3.1", body = Object),
))]
pub(super) async fn get_openapi(Query(NoParameters {}): Query<NoParameters>) -> Response {
    ([(CONTENT_TYPE, "application/json")], DOCUMENT.as_str()).into_response()
}

fn problem_schemas() -> Map<String, Value> {
    let mut schemas = Vec::new();
    schemas.push((ProblemJson::name().into_owned(), <ProblemJson as utoipa::PartialSchema>::schema()));
    ProblemJson::schemas(&mut schemas);
    let written = |schema| serde_json::to_value(schema).expect("a schema can be written");
    schemas.into_iter().map(|(name, schema)| (name, written(schema))).collect()
}

/// Fields that are absent are left out and never `null`, neither in what is taken nor in what is answered. Only a place of a list cannot
/// be left out.
fn drop_null(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(drop_null),
        Value::Object(fields) => {
            if let Some(Value::Array(kinds)) = fields.get_mut("type") {
                kinds.retain(|kind| kind != "null");
                if let [only] = kinds.as_slice() {
                    let only = only.clone();
                    fields.insert("type".to_owned(), only);
                }
            }
            if let Some(Value::Array(choices)) = fields.get_mut("oneOf") {
                choices.retain(|choice| *choice != json!({ "type": "null" }));
                if let [Value::Object(only)] = choices.as_slice() {
                    let only = only.clone();
                    fields.remove("oneOf");
                    fields.extend(only);
                }
            }
            let is_list = fields.get("type") == Some(&json!("array"));
            for (name, value) in fields.iter_mut() {
                let is_place = is_list && name == "items" && value["type"].is_array();
                if !is_place {
                    drop_null(value);
                }
            }
        }
        _ => {}
    }
}

/// What is written out in its place is described there: the library puts the description beside it, as if it were an object
/// as well.
fn describe_in_place(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(describe_in_place),
        Value::Object(fields) => {
            if let Some([Value::Object(what), beside]) =
                fields.get("allOf").and_then(Value::as_array).map(Vec::as_slice)
                && beside["type"] == "object"
                && beside.as_object().is_some_and(|beside| beside.len() == 2)
                && let Some(description) = beside.get("description").cloned()
            {
                let what = what.clone();
                fields.remove("allOf");
                fields.extend(what);
                fields.insert("description".to_owned(), description);
            }
            fields.values_mut().for_each(describe_in_place);
        }
        _ => {}
    }
}

/// What is written out although it has a name is referred to by its name.
fn refer_to_components(document: &mut Value) {
    let schemas = document["components"]["schemas"].as_object().cloned().unwrap_or_default();
    let named: Vec<(&String, &Value)> =
        schemas.iter().filter(|(_, schema)| schema.get("properties").is_some()).collect();
    refer(&mut document["paths"], &named);
    for schema in document["components"]["schemas"].as_object_mut().into_iter().flat_map(Map::values_mut) {
        if let Some(fields) = schema.as_object_mut() {
            fields.values_mut().for_each(|inside| refer(inside, &named));
        }
    }
}

fn refer(value: &mut Value, named: &[(&String, &Value)]) {
    if let Some((name, _)) = named.iter().find(|(_, schema)| *schema == value) {
        *value = json!({ "$ref": format!("#/components/schemas/{name}") });
        return;
    }
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| refer(item, named)),
        Value::Object(fields) => fields.values_mut().for_each(|field| refer(field, named)),
        _ => {}
    }
}

/// Adds the problems and the token to every operation.
fn complete_operations(document: &mut Value) {
    let items = document["paths"].as_object_mut().into_iter().flat_map(Map::values_mut);
    for operation in items.filter_map(Value::as_object_mut).flat_map(Map::values_mut) {
        let id = operation["operationId"].as_str().unwrap_or_default();
        let is_open = OPERATIONS.iter().any(|(name, _, _, access)| *name == id && *access == Access::Open);
        let has_body = operation.get("requestBody").is_some();
        let has_input = has_body || operation.get("parameters").is_some();
        let mut problems = EVERYWHERE.to_vec();
        if !is_open {
            problems.extend(WITH_TOKEN);
            operation["security"] = json!([{ "token": [] }]);
        }
        if has_input {
            problems.extend(WITH_INPUT);
        }
        if has_body {
            problems.extend(WITH_BODY);
        }
        let Some(responses) = operation["responses"].as_object_mut() else { continue };
        for (status, description) in problems {
            let schema = json!({ "$ref": "#/components/schemas/Problem" });
            responses.entry(status).or_insert_with(
                || json!({ "description": description, "content": { "application/problem+json": { "schema": schema } } }),
            );
        }
        use_problem_type(responses);
    }
}

/// Problems are described as plain JSON; they are sent under their own type.
fn use_problem_type(responses: &mut Map<String, Value>) {
    for (status, response) in responses.iter_mut() {
        if status.as_str() < "400" {
            continue;
        }
        let Some(content) = response.get_mut("content").and_then(Value::as_object_mut) else { continue };
        let is_problem = content
            .get("application/json")
            .is_some_and(|json| json["schema"]["$ref"] == "#/components/schemas/Problem");
        if is_problem && let Some(json) = content.remove("application/json") {
            content.insert("application/problem+json".to_owned(), json);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use sixpack_model::limits::{LINE_BYTES, OBTAINED, SEARCH_BYTES};

    use super::*;
    use crate::http::{leases, requests, results, scenarios, sessions};

    /// With `UPDATE=1` the file is written anew.
    #[test]
    fn the_committed_document_is_the_one_that_is_served() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../api/openapi.json");
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&file, openapi()).unwrap();
        }
        let committed = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(committed == openapi(), "api/openapi.json is stale; run this test with UPDATE=1");
    }

    fn document() -> Value {
        serde_json::from_str(&openapi()).unwrap()
    }

    #[test]
    fn every_operation_has_its_roles_and_every_role_its_operation() {
        let mut described = BTreeSet::new();
        for (path, item) in document()["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let name = operation["operationId"].as_str().unwrap().to_owned();
                assert!(operation["summary"].is_string(), "{name} has no summary");
                described.insert((name, method.to_uppercase(), path.clone()));
            }
        }
        let listed: BTreeSet<_> = OPERATIONS
            .iter()
            .map(|(name, method, path, _)| ((*name).to_owned(), (*method).to_owned(), (*path).to_owned()))
            .collect();
        assert_eq!(described, listed);
    }

    /// Times are given out and never taken: what would take one has to read it by one reader, within bounds that are equal
    /// on every store, and there is none.
    #[test]
    fn nothing_that_is_taken_holds_a_time() {
        let document = document();
        let mut open: Vec<&Value> = Vec::new();
        for operation in document["paths"]
            .as_object()
            .unwrap()
            .values()
            .flat_map(|item| item.as_object().unwrap().values())
        {
            open.extend([&operation["parameters"], &operation["requestBody"]]);
        }
        let (mut seen, mut looked_at) = (BTreeSet::new(), 0);
        while let Some(value) = open.pop() {
            looked_at += 1;
            assert_ne!(value["format"], "date-time", "{value}");
            match value {
                Value::Array(values) => open.extend(values),
                Value::Object(fields) => open.extend(fields.values()),
                _ => {}
            }
            if let Some(name) =
                value["$ref"].as_str().and_then(|link| link.strip_prefix("#/components/schemas/"))
                && seen.insert(name)
            {
                open.push(&document["components"]["schemas"][name]);
            }
        }
        assert!(seen.contains("NewRequest") && seen.contains("Manifest") && looked_at > 500, "{seen:?}");
    }

    #[test]
    fn documented_limits_are_the_enforced_ones() {
        let document = document();
        let schemas = &document["components"]["schemas"];
        for (pointer, limit) in [
            ("/NewRequest/properties/items/maxItems", requests::asked::ITEMS_MAX),
            ("/NewRequest/properties/holder/maxLength", LINE_BYTES),
            ("/ReleaseLease/properties/note/maxLength", leases::NOTE_MAX_BYTES),
            ("/ApplyScenarios/properties/files/maxItems", scenarios::FILES_MAX),
            ("/ScenarioFile/properties/path/maxLength", scenarios::PATH_MAX_BYTES),
            ("/Heartbeat/properties/running/maxItems", sessions::RUNNING_MAX),
            ("/Results/properties/results/maxItems", results::RESULTS_MAX),
            ("/TaskResult/properties/code/maxLength", results::CODE_MAX_BYTES),
            ("/TaskResult/properties/children/maxItems", OBTAINED),
            ("/NewToken/properties/name/maxLength", LINE_BYTES),
            ("/Problem/properties/errors/maxItems", crate::edge::problem::FAULTS_MAX),
        ] {
            assert_eq!(schemas.pointer(pointer), Some(&json!(limit)), "{pointer}");
        }
        let q = "/paths/~1v1~1environments~1{env}~1contracts/get/parameters";
        let parameters = document.pointer(q).unwrap().as_array().unwrap();
        let q = parameters.iter().find(|parameter| parameter["name"] == "q").unwrap();
        assert_eq!(q["schema"]["maxLength"], json!(SEARCH_BYTES));
        let key = &document["paths"]["/v1/requests"]["post"]["parameters"];
        let key =
            key.as_array().unwrap().iter().find(|parameter| parameter["name"] == "Idempotency-Key").unwrap();
        assert_eq!(key["schema"]["maxLength"], json!(requests::KEY_MAX_BYTES));
    }

    #[test]
    fn nothing_has_to_be_two_things_at_once() {
        let document = document();
        let mut open = vec![&document];
        while let Some(value) = open.pop() {
            let beside = value["allOf"].as_array().into_iter().flatten();
            assert!(
                beside.clone().count() == 0 || beside.clone().all(|one| one["type"] != "string"),
                "{value}"
            );
            match value {
                Value::Array(values) => open.extend(values),
                Value::Object(fields) => open.extend(fields.values()),
                _ => {}
            }
        }
    }

    #[test]
    fn nothing_is_null_and_every_reference_leads_somewhere() {
        let mut document = document();
        // A span of which nothing is known has its place in every list of a history.
        let history = document.pointer_mut("/components/schemas/StockHistory/properties").unwrap();
        for (name, list) in
            history.as_object_mut().unwrap().iter_mut().filter(|(_, list)| list["type"] == "array")
        {
            assert_eq!(list["items"]["type"], json!(["integer", "null"]), "{name}");
            list["items"]["type"] = json!("integer");
        }
        let text = document.to_string();
        assert!(!text.contains(r#""null""#), "an absent field is left out, never null");
        for reference in text.split(r##""$ref":"#"##).skip(1).map(|rest| rest.split('"').next().unwrap()) {
            assert!(document.pointer(reference).is_some(), "{reference}");
        }
    }
}
