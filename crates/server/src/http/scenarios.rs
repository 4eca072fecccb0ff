//! Scenarios: applied, also together with stock rules, read as they were written, deleted.

use axum::extract::{FromRequest, FromRequestParts, Request, State};
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_MATCH};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use sixpack_engine::{
    Applied, AppliedFile, AppliedFiles, Applying, Breaks, Engine, Over, Refusal, ScenarioFile,
};
use sixpack_model::limits::FILE_BYTES;
use sixpack_model::name::{ContractName, EnvironmentName, NameError};
use sixpack_model::scenario::{decode, mark};
use sixpack_model::stock::RuleName;
use utoipa::{IntoParams, ToSchema};

use super::auth::Authorized;
use super::contracts::ContractPath;
use super::document::ProblemJson;
use super::shapes::diagnostic::DiagnosticJson;
use super::shapes::scalar::Text;
use super::shapes::word::{AppliedChange, Said};
use super::stock_rules::AppliedRuleJson;
use crate::edge::check::{Check, Faults};
use crate::edge::json::{Json, read_body};
use crate::edge::path::Path;
use crate::edge::problem::Problem;
use crate::edge::query::{NoParameters, Query};

/// Files of one call: more than any repository of scenarios has.
pub(super) const FILES_MAX: usize = 200;

/// Bytes of a file's name, which is only repeated in faults.
pub(super) const PATH_MAX_BYTES: usize = 500;

/// Bytes of one call: files are small, so this is hundreds of them.
const APPLY_MAX_BYTES: usize = 8 * 1024 * 1024;

/// Content types of a scenario file; JSON is YAML as well.
const CONTENT_TYPES: [&str; 4] = ["application/yaml", "application/x-yaml", "text/yaml", "application/json"];

/// How a file is to be applied.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ApplyParameters {
    /// `true` checks and answers the same, and changes nothing.
    dry_run: Option<bool>,
    /// `true` refuses what is otherwise only warned of.
    strict: Option<bool>,
}

/// Files to be applied together.
#[derive(Deserialize, ToSchema)]
#[schema(as = ApplyScenarios)]
#[serde(deny_unknown_fields)]
pub(super) struct ApplyJson {
    #[schema(min_items = 1, max_items = 200)]
    files: Vec<FileJson>,
    /// `true` checks and answers the same, and changes nothing.
    #[serde(default)]
    dry_run: bool,
    /// `true` refuses what is otherwise only warned of.
    #[serde(default)]
    strict: bool,
}

/// One file: of a scenario, or of stock rules.
#[derive(Deserialize, ToSchema)]
#[schema(as = ScenarioFile)]
#[serde(deny_unknown_fields)]
struct FileJson {
    /// What faults call it.
    #[schema(min_length = 1, max_length = 500)]
    path: String,
    /// YAML, or the same in JSON.
    text: String,
}

impl Check for ApplyJson {
    const BODY_MAX_BYTES: usize = APPLY_MAX_BYTES;

    fn check(&self, faults: &mut Faults) {
        if self.files.is_empty() {
            faults.add("files", "range", format!("must have from 1 to {FILES_MAX} entries"));
        }
        faults.too_many("files", self.files.len(), FILES_MAX);
        faults.within("files", |faults| {
            for (index, file) in self.files.iter().enumerate() {
                faults.within(index, |faults| {
                    if file.path.is_empty() {
                        faults.add("path", "empty", "is empty");
                    }
                    faults.too_long("path", &file.path, PATH_MAX_BYTES);
                });
            }
        });
    }
}

/// What became of several files.
#[derive(Serialize, ToSchema)]
#[schema(as = AppliedScenarios)]
pub(super) struct AppliedFilesJson<'a> {
    environment: &'a str,
    dry_run: bool,
    /// The scenarios, in the order of the files.
    applied: Vec<AppliedJson<'a>>,
    /// The stock rules, in the order of the files and by name.
    rules: Vec<AppliedRuleJson<'a>>,
}

/// What became of a contract.
#[derive(Serialize, ToSchema)]
#[schema(as = Applied)]
pub(super) struct AppliedJson<'a> {
    /// The file, when there may be several.
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a str>,
    #[schema(value_type = String)]
    name: Text<&'a ContractName>,
    /// The version that it has now.
    version: u32,
    /// `new`, `same`, `compatible` or `breaking`; of a scenario file also `updated`, when its text is another and its version
    /// the same.
    #[schema(inline)]
    change: AppliedChange<'static>,
    /// What changed.
    changes: Vec<ChangeJson<'a>>,
    /// Scenarios and stock rules that no longer fit because of it; in a channel, that would not if it were deployed.
    breaks: Vec<BreakJson<'a>>,
    /// The deployed version that a contract of a channel was held against, or that a deployed version of before has taken
    /// the place of.
    #[serde(skip_serializing_if = "Option::is_none")]
    against: Option<u32>,
    /// Of a scenario file: what is accepted and probably not meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    warnings: Option<Vec<DiagnosticJson<'a>>>,
}

/// One thing that changed.
#[derive(Serialize, ToSchema)]
#[schema(as = ContractChange)]
pub(super) struct ChangeJson<'a> {
    /// Where in the contract, as a JSON Pointer.
    pointer: &'a str,
    message: &'a str,
}

/// A scenario or a stock rule that no longer fits.
#[derive(Serialize, ToSchema)]
#[schema(as = ContractBreak)]
struct BreakJson<'a> {
    /// The scenario, or the contract of the rule.
    #[schema(value_type = String)]
    contract: Text<&'a ContractName>,
    /// The stock rule, if it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    stock_rule: Option<Text<&'a RuleName>>,
    message: &'a str,
}

impl<'a> AppliedJson<'a> {
    /// A contract that came with a session.
    pub(super) fn of(applied: &'a Applied) -> Self {
        let Applied { name, version, change, changes, breaks, against } = applied;
        Self {
            path: None,
            name: Text(name),
            version: *version,
            change: Said::new(change),
            changes: changes.iter().map(|(pointer, message)| ChangeJson { pointer, message }).collect(),
            breaks: breaks
                .iter()
                .map(|Breaks { contract, rule, message }| BreakJson {
                    contract: Text(contract),
                    stock_rule: rule.as_ref().map(Text),
                    message,
                })
                .collect(),
            against: *against,
            warnings: None,
        }
    }

    /// A scenario that came in the only file of a call.
    fn of_file(file: &'a AppliedFile) -> Self {
        let warnings = file.warnings.iter().map(DiagnosticJson::from).collect();
        Self { warnings: Some(warnings), ..Self::of(&file.applied) }
    }
}

/// A place where a scenario can be put: unlike a place where one is looked for, it is told why it cannot be one.
pub(super) struct Target<T>(pub(super) T);

impl<S: Send + Sync> FromRequestParts<S> for Target<EnvironmentName> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path((environment,)) = Path::<(String,)>::from_request_parts(parts, state).await?;
        environment.parse().map(Self).map_err(|error| no_name(&error))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Target<ContractPath> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        type Segments = (String, String, String);
        let Path((environment, domain, name)) = Path::<Segments>::from_request_parts(parts, state).await?;
        let environment = environment.parse().map_err(|error| no_name(&error))?;
        let contract = ContractName::new(&domain, &name).map_err(|error| no_name(&error))?;
        Ok(Self(ContractPath { environment, contract }))
    }
}

/// The text of a scenario file.
pub(super) struct ScenarioText(bytes::Bytes);

impl<S: Sync> FromRequest<S> for ScenarioText {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        check_content(request.headers())?;
        read_body(request, FILE_BYTES).await.map(Self)
    }
}

/// The revision that the caller wants to replace.
pub(super) struct IfMatch(pub(super) Option<u64>);

impl<S: Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Some(tag) = tag(parts)? else { return Ok(Self(None)) };
        tag.parse().map(|revision| Self(Some(revision))).map_err(|_| bad_if_match())
    }
}

/// The text of a scenario that the caller wants to replace: its version, and the mark of the text if it was given.
pub(super) struct IfText(Option<Over>);

impl<S: Sync> FromRequestParts<S> for IfText {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Some(tag) = tag(parts)? else { return Ok(Self(None)) };
        let (version, mark) = match tag.split_once('.') {
            Some((version, mark)) => (version, Some(mark.to_owned())),
            None => (tag, None),
        };
        let version = version.parse().map_err(|_| bad_if_match())?;
        Ok(Self(Some(Over { version, mark })))
    }
}

/// What stands between the quotes of the one tag of `If-Match`.
fn tag(parts: &Parts) -> Result<Option<&str>, Problem> {
    let mut tags = parts.headers.get_all(IF_MATCH).iter();
    let (tag, None) = (tags.next(), tags.next()) else { return Err(bad_if_match()) };
    let Some(tag) = tag else { return Ok(None) };
    let text = tag.to_str().ok().and_then(|tag| tag.strip_prefix('"')?.strip_suffix('"'));
    text.map(Some).ok_or_else(bad_if_match)
}

/// Applies one scenario file
///
/// It is type-checked against the catalogue; every fault is reported with its place. Changing anything needs the role
/// `supplier` or `admin`.
#[utoipa::path(put, path = "/v1/environments/{env}/scenarios/{domain}/{name}", tag = "scenarios", params(
    ("env" = String, Path), ("domain" = String, Path), ("name" = String, Path), ApplyParameters,
    ("If-Match" = Option<String>, Header, description = "The `ETag` of a text applies only over that text, `\"3\"` over any text of version 3, `\"0\"` over none"),
), request_body(content = String, content_type = "application/yaml", description = "The file, at most 1 MiB, also as `application/json`"), responses(
    (status = 200, description = "Applied, or what would be", body = AppliedJson<'_>, headers(("ETag" = String, description = "The version and a mark of the text, in quotes: `\"3.9f86d081884c7d65\"`"))),
    (status = 201, description = "Applied for the first time", body = AppliedJson<'_>, headers(("ETag" = String, description = "The version and a mark of the text, in quotes: `\"3.9f86d081884c7d65\"`"))),
    (status = 404, description = "`domain_not_found`, `environment_not_found`", body = ProblemJson),
    (status = 409, description = "`name_taken`", body = ProblemJson),
    (status = 412, description = "`version_mismatch`", body = ProblemJson),
))]
pub(super) async fn put_scenario(
    State(engine): State<Engine>,
    authorized: Authorized,
    Target(ContractPath { environment, contract }): Target<ContractPath>,
    Query(parameters): Query<ApplyParameters>,
    IfText(over): IfText,
    ScenarioText(text): ScenarioText,
) -> Result<Response, Problem> {
    let dry_run = parameters.dry_run.unwrap_or(false);
    authorized.may_publish(dry_run)?;
    let path = contract.to_string();
    let text = decode(&path, &text).map_err(Refusal::ScenarioFaults)?.to_owned();
    let lost_lines = has_lost_its_lines(&text);
    let files = [ScenarioFile { path, text, named: Some(contract) }];
    let applying = Applying { dry_run, strict: parameters.strict.unwrap_or(false), over };
    let applied = engine.apply(&authorized.0, environment.as_str(), &files, applying).await;
    let applied = applied.map_err(|refusal| match refusal {
        Refusal::ScenarioFaults(faults) if lost_lines => {
            Problem::from(Refusal::ScenarioFaults(faults)).detail(ONE_LINE)
        }
        refusal => Problem::from(refusal),
    })?;
    let file = applied.scenarios.first().expect("one file has one result");
    let is_new = file.applied.change == "new" && !dry_run;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    let tag = source_tag(file.applied.version, &file.mark);
    Ok((status, [(ETAG, tag)], Json(AppliedJson::of_file(file))).into_response())
}

/// Reads a scenario as it was written
#[utoipa::path(get, path = "/v1/environments/{env}/scenarios/{domain}/{name}", tag = "scenarios", params(
    ("env" = String, Path), ("domain" = String, Path), ("name" = String, Path),
), responses(
    (status = 200, description = "The file", body = String, content_type = "application/yaml", headers(("ETag" = String, description = "The version and a mark of the text, in quotes: `\"3.9f86d081884c7d65\"`"))),
    (status = 404, description = "`scenario_not_found`, `environment_not_found`", body = ProblemJson),
))]
pub(super) async fn get_scenario(
    State(engine): State<Engine>,
    Authorized(caller): Authorized,
    Path(ContractPath { environment, contract }): Path<ContractPath>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Response, Problem> {
    let (source, version) = engine.scenario_source(&caller, environment.as_str(), &contract).await?;
    let yaml = HeaderValue::from_static("application/yaml");
    let tag = source_tag(version, &mark(&source));
    Ok(([(CONTENT_TYPE, yaml), (ETAG, tag)], source).into_response())
}

/// Deletes a scenario that no other and no stock rule uses
#[utoipa::path(delete, path = "/v1/environments/{env}/scenarios/{domain}/{name}", tag = "scenarios", params(
    ("env" = String, Path), ("domain" = String, Path), ("name" = String, Path),
), responses(
    (status = 204, description = "It is not offered any more; also when repeated"),
    (status = 404, description = "`scenario_not_found`, `environment_not_found`", body = ProblemJson),
    (status = 409, description = "`contract_in_use`", body = ProblemJson),
))]
pub(super) async fn delete_scenario(
    State(engine): State<Engine>,
    Authorized(caller): Authorized,
    Path(ContractPath { environment, contract }): Path<ContractPath>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<StatusCode, Problem> {
    engine.delete_scenario(&caller, environment.as_str(), &contract).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Applies several files of scenarios and of stock rules together: all or none
///
/// They may use each other, in any order; the field at its top, `scenario` or `stock`, tells what a file holds. Changing anything needs the role `supplier` or `admin`.
#[utoipa::path(post, path = "/v1/environments/{env}/apply", tag = "scenarios", params(("env" = String, Path)), request_body = ApplyJson, responses(
    (status = 200, description = "Applied, or what would be", body = AppliedFilesJson<'_>),
    (status = 404, description = "`domain_not_found`, `environment_not_found`", body = ProblemJson),
    (status = 409, description = "`name_taken`", body = ProblemJson),
))]
pub(super) async fn apply_scenarios(
    State(engine): State<Engine>,
    authorized: Authorized,
    Target(environment): Target<EnvironmentName>,
    Query(NoParameters {}): Query<NoParameters>,
    Json(body): Json<ApplyJson>,
) -> Result<Response, Problem> {
    let ApplyJson { files, dry_run, strict } = body;
    authorized.may_publish(dry_run)?;
    let files: Vec<ScenarioFile> =
        files.into_iter().map(|FileJson { path, text }| ScenarioFile { path, text, named: None }).collect();
    let environment = environment.as_str();
    let applying = Applying { dry_run, strict, over: None };
    let AppliedFiles { scenarios, rules } =
        engine.apply(&authorized.0, environment, &files, applying).await?;
    let applied = scenarios
        .iter()
        .map(|file| AppliedJson { path: Some(&file.path), ..AppliedJson::of_file(file) })
        .collect();
    let rules = rules.iter().map(AppliedRuleJson::from).collect();
    Ok(Json(AppliedFilesJson { environment, dry_run, applied, rules }).into_response())
}

/// What becomes of a file that `curl -d @file` sends: it takes the line breaks out.
const ONE_LINE: &str = "The file arrived as one long line, in which YAML cannot be read; `errors` says where. Send it with its line \
                        breaks: with curl by `--data-binary @file`, because `-d @file` takes them out.";

/// Whether a text is one line that was several: a scenario has some fields at its top, each with a colon.
fn has_lost_its_lines(text: &str) -> bool {
    let text = text.trim_end();
    !text.contains('\n') && !text.trim_start().starts_with('{') && text.matches(": ").count() > 1
}

fn check_content(headers: &HeaderMap) -> Result<(), Problem> {
    if headers
        .get(CONTENT_ENCODING)
        .is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"))
    {
        let detail = "Request bodies are not decompressed; send the file without `Content-Encoding`.";
        return Err(unsupported("content_encoding", detail));
    }
    let mut given = headers.get_all(CONTENT_TYPE).iter();
    let kind = match (given.next().and_then(|kind| kind.to_str().ok()), given.next()) {
        (Some(kind), None) => kind.split(';').next().unwrap_or_default().trim(),
        _ => "",
    };
    if CONTENT_TYPES.iter().any(|known| known.eq_ignore_ascii_case(kind)) {
        return Ok(());
    }
    let detail = "The file must be sent as `Content-Type: application/yaml` or `application/json`.";
    Err(unsupported("content_type", detail))
}

fn unsupported(code: &'static str, detail: &'static str) -> Problem {
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, code, "Unsupported media type").detail(detail)
}

fn no_name(error: &NameError) -> Problem {
    let title = "The request is not valid";
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "name_pattern", title).detail(error.to_string())
}

fn bad_if_match() -> Problem {
    Problem::unreadable("bad_if_match", "`If-Match` must be one strong `ETag` in quotes, such as `\"3\"`.")
}

/// Another text has another tag, also when its version is the same.
fn source_tag(version: u32, mark: &str) -> HeaderValue {
    HeaderValue::try_from(format!("\"{version}.{mark}\"")).expect("digits in quotes are a header value")
}

pub(super) fn etag(version: u64) -> HeaderValue {
    HeaderValue::try_from(format!("\"{version}\"")).expect("a number in quotes is a header value")
}
