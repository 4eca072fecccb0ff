//! Refusals of the engine as problems: the one place that gives them a status and a code.

use std::time::Duration;

use http::StatusCode;
use jiff::Timestamp;
use sixpack_engine::{GoneVersion, QuotaOf, Refusal, StoreError};
use sixpack_model::diagnostic::Diagnostic;
use sixpack_model::fault::Fault;
use sixpack_model::ids::DatasetId;
use sixpack_model::import::RowFaults;
use sixpack_model::limits::{EXTENSIONS, REASON_BYTES, TREE_PARTS};
use sixpack_model::protocol::{UnsupportedProtocol, spoken};
use sixpack_model::session::{HEARTBEAT_MS, HEARTBEATS_AT_ONCE, HEARTBEATS_PER_S};

use super::shortage::out_of_stock;
use crate::edge::problem::{Problem, ProblemFault, echoed, echoed_to};

/// When to ask again after the store or the catalogue was too busy: contention passes within a second.
const BUSY_S: u64 = 1;

/// When to ask again once a quota is used up: leases last for minutes, and somebody has to give one back.
const QUOTA_S: u64 = 60;

/// When to ask again while the store is closed or full.
const STORE_S: u64 = 5;

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Unknown { what, name, nearest } => unknown(what, &name, nearest.as_deref()),
            Refusal::Invalid(faults) => Self::unprocessable(faults.into_iter().map(ProblemFault::from).collect()),
            Refusal::Protocol(unsupported) => protocol(&unsupported),
            Refusal::Rows(faults) => rows_invalid(faults),
            Refusal::Unserved { contract } => conflict("supplier_offline", "Nobody is there to check it").detail(
                format!(
                    "No supplier of {} is connected, and what is imported is checked before it can be taken; start one, \
                     then send this call again.",
                    echoed(&contract)
                ),
            ),
            Refusal::InputInvalid(faults) => input_invalid(faults),
            Refusal::ScenarioFaults(faults) => scenario_faults(faults),
            Refusal::ContractBroken { name, channel, faults } => {
                contract_broken(&name, channel.as_deref(), faults)
            }
            Refusal::UnknownChannel { name, environment, live } => {
                unknown_channel(&name, &environment, &live)
            }
            Refusal::TooManyChannels { environment, live } => too_many_channels(&environment, &live),
            Refusal::VersionGone { dataset, gone } => version_gone(dataset, gone),
            Refusal::NeverMade { dataset, status } => {
                conflict("dataset_never_made", "It was never made").detail(format!(
                    "{dataset} is {status} and was never made as a whole, so there is nothing to make again; request its \
                     contract anew."
                ))
            }
            Refusal::SecretInput { dataset } => conflict("secret_input", "Its input holds secrets").detail(format!(
                "The input of {dataset} holds secrets that another token gave; request its contract anew with secrets of \
                 your own, or ask with the token that requested it."
            )),
            Refusal::ContractInUse { name, by } => contract_in_use(&name, by),
            Refusal::NameTaken { name, kind } => conflict("name_taken", "The name is taken").detail(format!(
                "`{}` is already the name of a {kind}; choose another name, or delete that one first.",
                echoed(&name)
            )),
            Refusal::VersionMismatch { expected, current } => version_mismatch(expected, current),
            Refusal::TextMismatch { version } => text_mismatch(version),
            Refusal::OutOfStock(shortage) => out_of_stock(&shortage),
            Refusal::KeyReused => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_mismatch", "The key was used before").detail(
                    "This `Idempotency-Key` was used with another body within the last 24 hours; use a new key.",
                )
            }
            Refusal::QuotaLeases { of, name, limit, taken, asked } => {
                quota_leases(of, &name, (limit, taken, asked))
            }
            Refusal::LeaseFenced => conflict("lease_fenced", "Another fence is live")
                .detail("The fence is not the one of this lease; read the lease again and use its `fence`.")
                .fault(ProblemFault::new("/fence", "lease_fenced", "is not the one of this lease")),
            Refusal::ReleasedAs(first) => conflict("lease_ended", "The lease has ended")
                .detail(format!(
                    "The lease was released as `{}` before, and what follows from that has begun; that cannot be changed any more.",
                    first.name()
                ))
                .fault(ProblemFault::new("/outcome", "immutable", format!("was `{}` before", first.name()))),
            Refusal::Extending { step } => conflict("extending", "It is being extended").detail(format!(
                "The dataset is being extended by `{step}`, and until that is over it is neither extended nor diagnosed. Wait for \
                 it with `GET` on the lease, then send this call again."
            )),
            Refusal::OtherExtension { step } => {
                conflict("extension_mismatch", "That extension is another one").detail(format!(
                    "`{step}` has that `number` and was made of another contract or input; read the lease, and send the \
                     number after its last extension, or none."
                ))
            }
            Refusal::TooManyExtensions { dataset, parts } => {
                conflict("too_many_extensions", "It cannot be extended any more").detail(format!(
                    "{dataset} has {parts} parts of {TREE_PARTS} allowed, and a lease has at most {EXTENSIONS} extensions, those \
                     that failed included; write a scenario of the steps, and request that."
                ))
            }
            Refusal::LeaseEnded(status) => conflict("lease_ended", "The lease has ended")
                .detail(format!("The lease is `{}`; request another dataset.", status.name())),
            Refusal::LeaseRevoked { by, reason, at } => lease_revoked(&by, &reason, at),
            Refusal::NotOfDomain { own, domains } => not_of_domain(&own, &domains),
            Refusal::NotInQuarantine { dataset, status } => {
                conflict("not_in_quarantine", "It is not in quarantine").detail(format!(
                    "{dataset} is {status}; there is something to decide about a whole dataset in quarantine only. \
                     `GET /v1/quarantine` lists them."
                ))
            }
            Refusal::NotOwed { dataset, status } => conflict("not_owed", "Nothing of it is owed").detail(format!(
                "{dataset} is {status}, and no effect of it is left that could not be undone: what stands as `debt` may do so because of a \
                 part of it, and an undo that waits is done when its supplier is there. `GET /v1/debts?status=debt` lists what is owed."
            )),
            Refusal::SessionEnded => conflict("session_ended", "The session has ended")
                .detail("The session is dead or was drained; open a new session."),
            Refusal::Superseded => conflict("superseded", "Another supplier took over").detail(
                "A newer session of the same environment, domain and instance, or in a channel of the same \
                 environment, domain and channel, is live; open a new session only if this process is meant to be \
                 the live one.",
            ),
            Refusal::TooManyHeartbeats { wait } => too_many_heartbeats(wait),
            Refusal::Busy => unavailable(BUSY_S, "Too many changes came at once; send the same call again."),
            Refusal::Store(failure) => store_failed(&failure),
        }
    }
}

impl From<StoreError> for Problem {
    fn from(failure: StoreError) -> Self {
        store_failed(&failure)
    }
}

impl From<Fault> for ProblemFault {
    fn from(fault: Fault) -> Self {
        Self::new(fault.pointer, fault.code, fault.message)
    }
}

impl From<Diagnostic> for ProblemFault {
    fn from(diagnostic: Diagnostic) -> Self {
        let Diagnostic { file, line, column, length, code, message, hint } = diagnostic;
        let item = Self::new("", code, message).at(line.into(), column.into());
        Self { file: Some(file), length: Some(length.into()), hint, ..item }
    }
}

/// 503: the same call can work later.
pub(super) fn unavailable(retry_after_s: u64, detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Not available now")
        .detail(detail)
        .retry_after_s(retry_after_s)
}

fn unknown(what: &'static str, name: &str, nearest: Option<&str>) -> Problem {
    let code = match what {
        "environment" => "environment_not_found",
        "domain" => "domain_not_found",
        "contract" => "contract_not_found",
        "scenario" => "scenario_not_found",
        "stock rule" => "stock_rule_not_found",
        "request" => "request_not_found",
        "lease" => "lease_not_found",
        "dataset" => "dataset_not_found",
        "session" => "session_not_found",
        "token" => "token_not_found",
        _ => "not_found",
    };
    let hint = nearest.map(|nearest| format!(" Did you mean `{nearest}`?")).unwrap_or_default();
    Problem::not_found(code, format!("There is no {what} `{}` here for this token.{hint}", echoed(name)))
}

fn protocol(unsupported: &UnsupportedProtocol) -> Problem {
    let fault = ProblemFault::new("/protocol", "protocol", format!("must be {}", spoken()));
    conflict("protocol", "Another protocol").detail(sentence(&unsupported.to_string())).fault(fault)
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| format!("{}{}.", first.to_uppercase(), letters.as_str()))
}

fn input_invalid(faults: Vec<Fault>) -> Problem {
    let faults: Vec<ProblemFault> = faults.into_iter().map(ProblemFault::from).collect();
    let detail = match faults.as_slice() {
        [only] => only.told(),
        several => format!("The input has {} faults; see `errors`.", several.len()),
    };
    let title = "The input does not fit the contract";
    let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "input_invalid", title).detail(detail);
    faults.into_iter().fold(problem, Problem::fault)
}

fn rows_invalid(RowFaults { faults, total, rows }: RowFaults) -> Problem {
    let count = |number: usize, what: &str| format!("{number} {what}{}", if number == 1 { "" } else { "s" });
    let mut detail = format!("{} in {}; nothing was imported.", count(total, "fault"), count(rows, "row"));
    if total > faults.len() {
        detail.push_str(&format!(" The first {} are listed.", faults.len()));
    }
    let title = "Rows do not fit the contract";
    let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "rows_invalid", title).detail(detail);
    faults.into_iter().fold(problem, |problem, fault| problem.fault(fault.into()))
}

fn scenario_faults(faults: Vec<Diagnostic>) -> Problem {
    let detail = match faults.as_slice() {
        [only] => {
            format!("{}:{}:{}: {}; nothing was applied.", only.file, only.line, only.column, only.message)
        }
        several => format!("There are {} faults; nothing was applied.", several.len()),
    };
    let title = "The files have faults";
    let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "scenario_faults", title).detail(detail);
    faults.into_iter().fold(problem, |problem, fault| problem.fault(fault.into()))
}

fn contract_broken(name: &str, channel: Option<&str>, faults: Vec<Diagnostic>) -> Problem {
    let detail = match channel {
        None => format!(
            "{name} does not fit the contracts that it uses any more; `errors` says why. It can be requested again as soon as \
             versions are offered that it fits, or when its owner has applied a file that fits those of now."
        ),
        Some(channel) => format!(
            "{name} does not fit the contracts as the channel `{channel}` has them; `errors` says why. It can be \
             requested without the channel if it fits the deployed ones."
        ),
    };
    let problem = conflict("contract_broken", "The scenario no longer fits").detail(detail);
    faults.into_iter().fold(problem, |problem, fault| problem.fault(fault.into()))
}

fn unknown_channel(name: &str, environment: &str, live: &[String]) -> Problem {
    let others = match live {
        [] => "No supplier under development is connected there".to_owned(),
        live => format!("Live channels are {}", quoted(live)),
    };
    let detail = format!(
        "There is no live channel `{}` in `{}`. {others}; start the supplier, or request without the channel.",
        echoed(name),
        echoed(environment)
    );
    Problem::not_found("channel_not_found", detail)
}

fn too_many_channels(environment: &str, live: &[String]) -> Problem {
    conflict("too_many_channels", "Too many channels").detail(format!(
        "`{environment}` has {} live channels, as many as it may have: {}; end a supplier under development that \
         nobody needs any more, or use one of these.",
        live.len(),
        quoted(live)
    ))
}

fn version_gone(dataset: DatasetId, gone: Vec<GoneVersion>) -> Problem {
    let told = |gone: &GoneVersion| {
        let GoneVersion { contract, wanted, offered } = gone;
        match offered {
            Some(offered) => {
                format!("{contract}@{wanted} is not on offer any more, but {contract}@{offered}")
            }
            None => format!("{contract}@{wanted} is not on offer any more, and no other version either"),
        }
    };
    let what = match gone.as_slice() {
        [only] => told(only),
        several => format!("{} versions are not on offer any more; see `errors`", several.len()),
    };
    let detail = format!(
        "{dataset} cannot be made again as it was: {what}. Request its contract anew with the same input to get it on the \
         versions of today."
    );
    let problem = conflict("version_gone", "A version is gone").detail(detail);
    gone.iter().fold(problem, |problem, gone| {
        problem.fault(ProblemFault::new("/rerun_of", "version_gone", told(gone)))
    })
}

fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn contract_in_use(name: &str, by: Vec<String>) -> Problem {
    let problem = conflict("contract_in_use", "Others use it")
        .detail(format!("{name} is used by {} others; delete or change them first.", by.len()));
    by.into_iter().fold(problem, |problem, user| {
        problem.fault(ProblemFault::new("", "contract_in_use", format!("{user} uses it")))
    })
}

fn version_mismatch(expected: u64, current: u64) -> Problem {
    let there = match current {
        0 => "there is none".to_owned(),
        version => format!("the current version is {version}"),
    };
    Problem::new(StatusCode::PRECONDITION_FAILED, "version_mismatch", "Another version is current").detail(
        format!("`If-Match` asks for version {expected}; {there}. Read it again before replacing it."),
    )
}

fn text_mismatch(version: u64) -> Problem {
    Problem::new(StatusCode::PRECONDITION_FAILED, "version_mismatch", "Another text is current").detail(format!(
        "The text of version {version} has been replaced since `If-Match` was read. Read it again before replacing it."
    ))
}

fn quota_leases(of: QuotaOf, name: &str, (limit, taken, asked): (u64, u64, u64)) -> Problem {
    let name = echoed(name);
    let (who, whose, setting) = match of {
        QuotaOf::Token => (format!("The token `{name}` has"), "its holders", "limits.leases_per_token"),
        QuotaOf::Environment => (
            format!("All tokens in `{name}` together have"),
            "their holders",
            "limits.leases_per_environment",
        ),
    };
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "quota_leases", "Too many leases")
        .detail(format!(
            "{who} {taken} of {limit} allowed leases, those of open requests included, and this request asks for \
             {asked} more; nothing was created. Release what {whose} no longer need (`GET /v1/leases?status=held` lists \
             it), or ask whoever runs the server for a higher `{setting}`."
        ))
        .retry_after_s(QUOTA_S)
}

fn lease_revoked(by: &str, reason: &str, at: Option<Timestamp>) -> Problem {
    let at = at.map(|at| format!(" at {at:.0}")).unwrap_or_default();
    let reason = echoed_to(reason, REASON_BYTES);
    conflict("lease_ended", "The lease has ended").detail(format!(
        "The lease was revoked by `{}`{at}: {reason}. Stop using the data: it is being undone. Request another dataset.",
        echoed(by)
    ))
}

/// How many domains a problem names: more than these nobody asks one after the other.
const DOMAINS_NAMED: usize = 10;

fn not_of_domain(own: &str, domains: &[String]) -> Problem {
    let named = quoted(&domains[..domains.len().min(DOMAINS_NAMED)]);
    let more = if domains.len() > DOMAINS_NAMED { ", …" } else { "" };
    Problem::new(StatusCode::FORBIDDEN, "foreign_dataset", "Another domain's dataset").detail(format!(
        "This token supplies `{}`, which has no part in the dataset; only those of {named}{more} may do this, and \
         administrators.",
        echoed(own)
    ))
}

fn too_many_heartbeats(wait: Duration) -> Problem {
    let title = "Too many heartbeats";
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_heartbeats", title)
        .detail(format!(
            "A session may send {HEARTBEATS_PER_S} heartbeats a second, and {HEARTBEATS_AT_ONCE} at once; one every {} s is \
             enough. This one was not counted.",
            HEARTBEAT_MS / 1000
        ))
        .retry_after_s(wait.as_secs() + 1)
}

fn conflict(code: &'static str, title: &'static str) -> Problem {
    Problem::new(StatusCode::CONFLICT, code, title)
}

fn store_failed(failure: &StoreError) -> Problem {
    match failure {
        StoreError::Full => {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "storage_full", "No room to store it")
                .detail("The server's disk is full and nothing was changed; its operators must make room.")
                .retry_after_s(STORE_S)
        }
        StoreError::Closed => unavailable(STORE_S, "The server is stopping; send the same call again."),
        StoreError::Unavailable { .. } => {
            tracing::warn!(error = failure as &dyn std::error::Error, "the database could not be used");
            unavailable(
                STORE_S,
                "The server's database could not be used and nothing was changed; send the same call again.",
            )
        }
        StoreError::Unanswered { .. } => {
            tracing::error!(error = failure as &dyn std::error::Error, "a commit was not confirmed");
            unavailable(
                STORE_S,
                "The server's store did not confirm that this was done: look, or send the same call again with the same \
                 Idempotency-Key.",
            )
        }
        StoreError::Restored => {
            tracing::error!("the store was restored while this server ran");
            unavailable(
                STORE_S,
                "The database was put back to an earlier state: this server ends, and another one knows what is there now.",
            )
        }
        StoreError::InDoubt { .. } => {
            tracing::error!(error = failure as &dyn std::error::Error, "the disk of the store failed");
            unavailable(
                STORE_S,
                "The server's disk failed, so that it ends and recovers: look whether this was done, or send the same call again \
                 with the same Idempotency-Key.",
            )
        }
        StoreError::InUse { .. }
        | StoreError::Unreadable { .. }
        | StoreError::Newer { .. }
        | StoreError::Older { .. }
        | StoreError::Busy { .. }
        | StoreError::Unsuitable { .. }
        | StoreError::Denied { .. }
        | StoreError::Broken { .. } => {
            tracing::error!(error = failure as &dyn std::error::Error, "the store failed");
            Problem::internal()
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;
    use http::header::RETRY_AFTER;

    use super::*;

    #[test]
    fn a_store_that_is_away_for_a_while_is_told_from_one_that_fails() {
        let cause = || "gone".into();
        for (failure, status) in [
            (StoreError::Unavailable { doing: "looking", cause: cause() }, 503),
            (StoreError::Unanswered { doing: "writing", cause: cause() }, 503),
            (StoreError::Full, 503),
            (StoreError::Closed, 503),
            (StoreError::InDoubt { doing: "writing", cause: cause() }, 503),
            (StoreError::Broken { doing: "writing", cause: cause() }, 500),
        ] {
            let response = store_failed(&failure).into_response();
            assert_eq!(response.status(), status, "{failure}");
            assert_eq!(response.headers().contains_key(RETRY_AFTER), status == 503, "{failure}");
        }
    }
}
