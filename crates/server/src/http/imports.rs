//! Imports: existing data is registered as stock, all rows or none.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sixpack_engine::{Engine, Import};
use sixpack_model::ids::DatasetId;
use sixpack_model::import::ImportedRow;
use sixpack_model::limits::IMPORT_ROWS;
use sixpack_model::name::ContractName;
use utoipa::{IntoParams, ToSchema};

use super::auth::Authorized;
use super::document::ProblemJson;
use super::shapes::scalar::Text;
use crate::edge::check::{Check, Faults};
use crate::edge::json::Json;
use crate::edge::path::Path;
use crate::edge::problem::Problem;
use crate::edge::query::Query;

/// Bytes of one call: a thousand rows of eight kilobytes, the size of a large record of a customer.
const IMPORT_MAX_BYTES: usize = 8 * 1024 * 1024;

/// Data that a service has already.
#[derive(Deserialize, ToSchema)]
#[schema(as = NewImport)]
#[serde(deny_unknown_fields)]
pub(super) struct NewImportJson {
    /// `domain/name` of a capability whose output marks a key with `x-entity`.
    contract: String,
    /// One entry a dataset.
    #[schema(min_items = 1, max_items = 1000, value_type = Vec<ImportRowJson>)]
    rows: Vec<Value>,
}

/// One dataset that is there. It describes what [`NewImportJson`] reads by hand, to tell of all rows at once.
#[derive(ToSchema)]
#[schema(as = ImportRow)]
#[expect(dead_code, reason = "only its schema is of use")]
struct ImportRowJson {
    /// What it would have been made from; defaults of the contract's schema are filled in.
    #[schema(value_type = Option<Object>)]
    input: Option<Map<String, Value>>,
    /// What making it would have answered.
    #[schema(value_type = Value)]
    output: Value,
}

/// How to import.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ImportParameters {
    /// `true` checks and refuses the same, and imports nothing.
    dry_run: Option<bool>,
}

impl Check for NewImportJson {
    const BODY_MAX_BYTES: usize = IMPORT_MAX_BYTES;

    fn check(&self, faults: &mut Faults) {
        if let Err(error) = self.contract.parse::<ContractName>() {
            faults.add("contract", "name_pattern", error.to_string());
        }
        if self.rows.is_empty() {
            faults.add("rows", "range", format!("must have from 1 to {IMPORT_ROWS} entries"));
        }
        faults.too_many("rows", self.rows.len(), IMPORT_ROWS);
        faults.within("rows", |faults| {
            for (number, row) in self.rows.iter().take(IMPORT_ROWS).enumerate() {
                match row {
                    Value::Object(fields) => faults.within(number, |faults| check_row(fields, faults)),
                    _ => faults.add(number, "type", "must be an object with `input` and `output`"),
                }
            }
        });
    }
}

fn check_row(fields: &Map<String, Value>, faults: &mut Faults) {
    for name in fields.keys().filter(|name| !matches!(name.as_str(), "input" | "output")) {
        faults.add(name.as_str(), "unknown_field", "a row has `input` and `output` only");
    }
    if fields.get("input").is_some_and(|input| !input.is_object()) {
        faults.add("input", "type", "must be an object");
    }
    if !fields.contains_key("output") {
        faults.add("output", "missing_field", "`output` is required: what making it would have answered");
    }
}

/// What was imported.
#[derive(Serialize, ToSchema)]
#[schema(as = Imported)]
pub(super) struct ImportedJson {
    #[schema(value_type = String)]
    contract: Text<ContractName>,
    version: u32,
    /// In the order of the rows; of a dry run there are none. Each is checked before it can be taken.
    #[schema(value_type = Vec<String>)]
    datasets: Vec<Text<DatasetId>>,
}

/// Registers existing data as stock
///
/// All rows or none: they are held against the contract, against each other, and against what datasets have already. What is
/// imported is checked before it can be taken from stock, and never undone.
#[utoipa::path(post, path = "/v1/environments/{env}/imports", tag = "stock", params(("env" = String, Path), ImportParameters), request_body = NewImportJson, responses(
    (status = 200, description = "With `dry_run`: it can be imported", body = ImportedJson),
    (status = 201, description = "What was imported", body = ImportedJson),
    (status = 404, description = "`environment_not_found`, `contract_not_found`, `domain_not_found`", body = ProblemJson),
    (status = 409, description = "`supplier_offline`: nobody is there to check it", body = ProblemJson),
    (status = 422, description = "`not_importable`; `rows_invalid`: nothing was imported, and `errors` has the first faults of all rows", body = ProblemJson),
))]
pub(super) async fn import_datasets(
    State(engine): State<Engine>,
    Authorized(caller): Authorized,
    Path((environment,)): Path<(String,)>,
    Query(parameters): Query<ImportParameters>,
    Json(body): Json<NewImportJson>,
) -> Result<Response, Problem> {
    let import = Import {
        environment,
        contract: body.contract.parse().expect("the name was checked"),
        rows: body.rows.into_iter().map(row).collect(),
    };
    let (status, imported) = match parameters.dry_run {
        Some(true) => (StatusCode::OK, engine.check_import(&caller, import).await?),
        Some(false) | None => (StatusCode::CREATED, engine.import(&caller, import).await?),
    };
    let body = ImportedJson {
        contract: Text(imported.contract),
        version: imported.version,
        datasets: imported.datasets.into_iter().map(Text).collect(),
    };
    Ok((status, Json(body)).into_response())
}

fn row(row: Value) -> ImportedRow {
    let Value::Object(mut fields) = row else { unreachable!("the rows were checked") };
    let input = fields.remove("input").unwrap_or_else(|| Value::Object(Map::new()));
    let output = fields.remove("output").expect("the rows were checked");
    ImportedRow { input: input.into(), output: output.into() }
}
