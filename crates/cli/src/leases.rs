//! `sixpack lease`: lists, shows, renews, releases and revokes leases.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::Value;
use sixpack::Client;
use sixpack::wire::{
    CheckVerdict, Evidence, InvariantEvidence, Lease, LeaseFilter, LeaseStatus, Outcome, PartEvidence,
    Release, Renewal, Revocation,
};

use crate::connection::{Connection, InEnvironment};
use crate::exit::Exit;
use crate::extensions;
use crate::fault::{Fault, Named};
use crate::paging::Listing;
use crate::printing::Output;
use crate::times::{SPAN_S, moment, seconds_within, span};
use crate::undoing::{Seen, Waiting};

/// Lists, shows, renews, releases and revokes leases.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sixpack lease list
  sixpack lease show lease_06e8…
  sixpack lease renew lease_06e8… --ttl 1h
  sixpack lease release lease_06e8… --wait     and come back when nothing of it is left, at most after 5 minutes
  sixpack lease release lease_06e8… --outcome broken --note \"the order has no lines\"
  sixpack lease revoke lease_06e8… --reason \"billing is migrated at noon; ask #billing\"")]
pub(crate) struct LeaseCommand {
    #[command(subcommand)]
    pub(crate) action: LeaseAction,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum LeaseAction {
    /// List leases, newest first
    List(ListLeases),
    /// Show a lease with its data and its evidence
    Show(ShowLease),
    /// Renew a lease; this never shortens it
    Renew(RenewLease),
    /// Give a dataset back; what was made for it is undone, unless it goes back into stock
    Release(ReleaseLease),
    /// Take a dataset away from its holder; for owners of a part of it, and administrators
    Revoke(RevokeLease),
}

/// Lists leases.
#[derive(Debug, Args)]
pub(crate) struct ListLeases {
    /// Also those that have ended
    #[arg(long)]
    all: bool,
    /// Only those of datasets of this contract
    #[arg(long)]
    contract: Option<String>,
    /// Only those of this holder
    #[arg(long)]
    holder: Option<String>,
    #[command(flatten)]
    environment: InEnvironment,
    #[command(flatten)]
    pub(crate) listing: Listing,
    #[command(flatten)]
    connection: Connection,
}

/// Shows a lease.
#[derive(Debug, Args)]
pub(crate) struct ShowLease {
    /// Id of the lease (lease_…)
    id: String,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Renews a lease.
#[derive(Debug, Args)]
pub(crate) struct RenewLease {
    /// Id of the lease (lease_…)
    id: String,
    /// How long from now: 1800, 30m, 2h [default: as long as was asked for at first]
    #[arg(long, value_name = "SPAN", value_parser = seconds_within(SPAN_S))]
    ttl: Option<u64>,
    /// Fence of the lease, to be refused when somebody else holds it by now [default: the one it has]
    #[arg(long, value_name = "NUMBER")]
    fence: Option<u64>,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Gives a dataset back.
#[derive(Debug, Args)]
pub(crate) struct ReleaseLease {
    /// Id of the lease (lease_…)
    id: String,
    /// What became of the data; unused goes back to stock, also beyond the target, if it came from there and all services agree
    #[arg(long, value_enum, default_value_t = ReleaseOutcome::Used)]
    outcome: ReleaseOutcome,
    /// A note for the owner of the data
    #[arg(long)]
    note: Option<String>,
    /// Fence of the lease, to be refused when somebody else holds it by now [default: the one it has]
    #[arg(long, value_name = "NUMBER")]
    fence: Option<u64>,
    #[command(flatten)]
    waiting: Waiting,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Takes a dataset away.
#[derive(Debug, Args)]
pub(crate) struct RevokeLease {
    /// Id of the lease (lease_…)
    id: String,
    /// Why, for whoever holds it: one line
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    waiting: Waiting,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// What became of the data.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum ReleaseOutcome {
    /// It was used
    Used,
    /// It was not touched; it goes back into stock if it came from there and still holds
    Unused,
    /// It was wrong; --note says how
    Broken,
}

/// Runs the command.
pub(crate) async fn run(command: &LeaseCommand, output: &mut Output) -> Result<Exit, Fault> {
    match &command.action {
        LeaseAction::List(list) => show_all(list, output).await?,
        LeaseAction::Show(show) => {
            show_one(show, output).await.map_err(|fault| fault.about(&show.id, Named::Lease))?;
        }
        LeaseAction::Renew(renew) => {
            prolong(renew, output).await.map_err(|fault| fault.about(&renew.id, Named::Lease))?;
        }
        LeaseAction::Release(release) => {
            return give_back(release, output).await.map_err(|fault| fault.about(&release.id, Named::Lease));
        }
        LeaseAction::Revoke(revoke) => {
            return take_away(revoke, output).await.map_err(|fault| fault.about(&revoke.id, Named::Lease));
        }
    }
    Ok(Exit::Done)
}

/// Prints a lease with its data, and how to go on with it.
pub(crate) fn told(lease: &Lease, output: &mut Output) -> Result<(), Fault> {
    let dataset = &lease.dataset;
    let state = match (lease.status, &lease.revoked_by) {
        (LeaseStatus::Held, _) => format!("held by {} for {}", lease.holder, left(lease)),
        (LeaseStatus::Revoked, Some(by)) => format!("revoked by {by}, was held by {}", lease.holder),
        (other, _) => format!("{other}, was held by {}", lease.holder),
    };
    output.line(format!("lease    {}  {state}", lease.id))?;
    if let Some(note) = &lease.note {
        output.line(format!("note     {note}"))?;
    }
    let verdict =
        dataset.evidence.as_ref().map_or(String::new(), |evidence| format!("  {}", verdict(evidence)));
    output.line(format!("dataset  {}  {}@{}{verdict}", dataset.id, dataset.contract, dataset.version))?;
    if let Some(channel) = &lease.channel {
        output.line(format!("channel  {channel}"))?;
    }
    match &dataset.output {
        Value::Object(properties) if !properties.is_empty() => {
            let wide = properties.keys().map(|name| name.chars().count()).max().unwrap_or(0);
            for (name, value) in properties {
                output.line(format!("  {name:<wide$}  {}", plain(value)))?;
            }
        }
        Value::Object(_) | Value::Null => {}
        other => output.line(format!("  {}", plain(other)))?,
    }
    for extension in &lease.extensions {
        extensions::told(extension, output)?;
    }
    if lease.status == LeaseStatus::Held {
        output.line(format!("renew    sixpack lease renew {}", lease.id))?;
        output.line(format!("release  sixpack lease release {}", lease.id))?;
    }
    Ok(())
}

/// How far a dataset was proven valid, in a few words.
pub(crate) fn verdict(evidence: &Evidence) -> String {
    match evidence.verdict {
        CheckVerdict::Unchecked => "unchecked: none of its parts has a check".to_owned(),
        CheckVerdict::Stale => stale(evidence),
        verdict => format!("{verdict}: {} of {} parts checked", evidence.checked, evidence.of),
    }
}

/// Which parts could not be asked about, and when they were valid.
fn stale(evidence: &Evidence) -> String {
    let told = |part: &PartEvidence| {
        let valid_at = part.valid_at.as_deref().map_or_else(String::new, moment);
        format!(
            "{} was valid at {valid_at}: {}",
            part.contract,
            part.message.as_deref().unwrap_or("it cannot tell")
        )
    };
    let parts: Vec<String> = evidence.parts.iter().filter(|part| part.stale).map(told).collect();
    format!("stale: {}", parts.join("; "))
}

/// Prints what each service said about its part.
pub(crate) fn evidence(evidence: Option<&Evidence>, output: &mut Output) -> Result<(), Fault> {
    let Some(evidence) =
        evidence.filter(|evidence| !evidence.parts.is_empty() || !evidence.invariants.is_empty())
    else {
        return Ok(());
    };
    output.line("")?;
    output
        .table(["EVIDENCE", "CONTRACT", "VERDICT", "AT", "BY", "FACTS"], evidence.parts.iter().map(part))?;
    for invariant in &evidence.invariants {
        output.line(judged(invariant))?;
    }
    Ok(())
}

/// An invariant with the time for which that is true.
fn judged(invariant: &InvariantEvidence) -> String {
    let at = invariant.evaluated_at.as_deref().map(|at| format!(" at {} UTC", moment(at)));
    let (at, says) = (at.unwrap_or_default(), &invariant.says);
    match (invariant.held, invariant.outdated) {
        (true, false) => format!("✔ held     {says}  (evaluated{at})"),
        (true, true) => {
            format!("? held     {says}  (evaluated{at}; not since, because not every part is valid now)")
        }
        (false, _) => format!("✖ broken   {says}  (evaluated{at})"),
    }
}

/// A value as people write it: text without quotes, everything else as JSON.
pub(crate) fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn part(part: &PartEvidence) -> [String; 6] {
    let facts = part.facts.as_ref().map_or(String::new(), Value::to_string);
    let once = part.valid_at.as_deref().filter(|_| part.verdict != CheckVerdict::Valid);
    let once = once.map(|at| format!("last valid at {}", moment(at)));
    let said =
        [Some(facts), part.message.clone(), once].into_iter().flatten().filter(|text| !text.is_empty());
    [
        if part.path.is_empty() { "(all)".to_owned() } else { part.path.clone() },
        format!("{}@{}", part.contract, part.version),
        part.verdict.to_string(),
        part.checked_at.as_deref().map_or(String::new(), moment),
        part.build.as_ref().or(part.instance.as_ref()).cloned().unwrap_or_default(),
        said.collect::<Vec<_>>().join("  "),
    ]
}

async fn show_all(list: &ListLeases, output: &mut Output) -> Result<(), Fault> {
    let client = list.connection.client()?;
    let filter = LeaseFilter {
        environment: Some(list.environment.name()),
        status: (!list.all).then_some(LeaseStatus::Held),
        contract: list.contract.clone(),
        holder: list.holder.clone(),
        ..LeaseFilter::default()
    };
    let page = async |limit, cursor| {
        client.leases(&LeaseFilter { limit: Some(limit), cursor, ..filter.clone() }).await
    };
    let rows = list.listing.read(page).await?;
    let header = ["LEASE", "STATUS", "LEFT", "CONTRACT", "HOLDER", "DATASET"];
    let none = format!("no dataset is leased in the environment `{}`", list.environment.name());
    list.listing.print(output, &rows, header, &none, |lease| {
        [
            lease.id.clone(),
            lease.status.to_string(),
            if lease.status == LeaseStatus::Held {
                span(Duration::from_millis(lease.ttl_ms))
            } else {
                "-".to_owned()
            },
            format!("{}@{}", lease.dataset.contract, lease.dataset.version),
            lease.holder.clone(),
            lease.dataset.id.clone(),
        ]
    })
}

async fn show_one(show: &ShowLease, output: &mut Output) -> Result<(), Fault> {
    let lease = show.connection.client()?.lease(&show.id).await?;
    if show.json {
        return output.json(&lease);
    }
    told(&lease, output)?;
    evidence(lease.dataset.evidence.as_ref(), output)
}

async fn prolong(renew: &RenewLease, output: &mut Output) -> Result<(), Fault> {
    let client = renew.connection.client()?;
    let fence = fence(&client, &renew.id, renew.fence).await?;
    let lease = client.renew_lease(&renew.id, &Renewal::new(fence, renew.ttl)).await?;
    if renew.json {
        return output.json(&lease);
    }
    output.line(format!("{} is held for {}", lease.id, left(&lease)))
}

async fn give_back(command: &ReleaseLease, output: &mut Output) -> Result<Exit, Fault> {
    let client = client_for(&command.connection, &command.waiting)?;
    let fence = fence(&client, &command.id, command.fence).await?;
    let outcome = match command.outcome {
        ReleaseOutcome::Used => Outcome::Used,
        ReleaseOutcome::Unused => Outcome::Unused,
        ReleaseOutcome::Broken => Outcome::Broken,
    };
    let mut release = Release::new(fence, outcome);
    if let Some(note) = &command.note {
        release = release.note(note);
    }
    let lease = client.release_lease(&command.id, &release).await?;
    let seen = Seen::of_lease(&client, &lease, &command.waiting, command.json).await?;
    tell_ended("released", &lease, &seen, command.json, output)?;
    Ok(seen.exit(&command.waiting))
}

async fn take_away(command: &RevokeLease, output: &mut Output) -> Result<Exit, Fault> {
    let client = client_for(&command.connection, &command.waiting)?;
    let lease = client.revoke_lease(&command.id, &Revocation::new(&command.reason)).await?;
    let seen = Seen::of_lease(&client, &lease, &command.waiting, command.json).await?;
    let told = format!("{} has lost", lease.holder);
    tell_ended(&told, &lease, &seen, command.json, output)?;
    Ok(seen.exit(&command.waiting))
}

fn tell_ended(what: &str, lease: &Lease, seen: &Seen, json: bool, output: &mut Output) -> Result<(), Fault> {
    if json {
        output.json(lease)?;
    } else {
        output.line(format!("{what} {}; {}", lease.id, seen.undoing.told()))?;
    }
    seen.tell_next(&format!("sixpack datasets show {}", lease.dataset.id), json);
    Ok(())
}

fn client_for(connection: &Connection, waiting: &Waiting) -> Result<Client, Fault> {
    if waiting.is_asked() { connection.waiting_client() } else { connection.client() }
}

async fn fence(client: &Client, id: &str, said: Option<u64>) -> Result<u64, Fault> {
    match said {
        Some(fence) => Ok(fence),
        None => Ok(client.lease(id).await?.fence),
    }
}

fn left(lease: &Lease) -> String {
    format!("{}, until {} UTC", span(Duration::from_millis(lease.ttl_ms)), moment(&lease.expires_at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn stale_evidence_names_who_could_not_be_asked_and_when_it_was_valid() {
        let part = json!({"path": "payment", "contract": "billing/account", "version": 1, "verdict": "unknown", "stale": true,
            "message": "no supplier", "valid_at": "2026-11-22T10:29:12.000Z"});
        let evidence = json!({"verdict": "stale", "checked": 1, "of": 1, "parts": [part]});
        let told = verdict(&serde_json::from_value(evidence).unwrap());
        assert!(told.starts_with("stale: billing/account was valid at 2026-11-22 10:29:12"), "{told}");
        assert!(told.ends_with(": no supplier"), "{told}");
    }
}
