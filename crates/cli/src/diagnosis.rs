//! `sixpack diagnose`: whether leased data is still what it was when it was handed over.

use clap::Args;
use serde_json::Value;
use sixpack::wire::{CheckVerdict, Diagnosis, DiagnosisVerdict, Known, PartDiagnosis, PartState};

use crate::connection::Connection;
use crate::contracts::owner;
use crate::exit::Exit;
use crate::fault::{Fault, Named};
use crate::leases::plain;
use crate::paging::or_dash;
use crate::printing::Output;
use crate::times::moment;

/// Asks every service about leased data: is it still what was handed over?
#[derive(Debug, Args)]
#[command(after_help = "\
It ends with
   0  the data is still valid: look at the product, or at the test
  40  it has changed under the lease: the first service that drifted is named
  41  the check itself fails: nobody can tell, and it says why

Secrets are shown to the holder of the lease only, as everywhere.")]
pub(crate) struct DiagnoseCommand {
    /// Id of the lease (lease_…)
    lease: String,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Runs the command.
pub(crate) async fn run(command: &DiagnoseCommand, output: &mut Output) -> Result<Exit, Fault> {
    let id = &command.lease;
    let asked = command.connection.client()?.diagnose_lease(id).await.map_err(Fault::from);
    let diagnosis = asked.map_err(|fault| fault.about(id, Named::Lease))?;
    if command.json {
        output.json(&diagnosis)?;
    } else {
        told(&diagnosis, output)?;
    }
    exit_of(&diagnosis)
}

fn exit_of(diagnosis: &Diagnosis) -> Result<Exit, Fault> {
    match diagnosis.verdict {
        DiagnosisVerdict::StillValid => Ok(Exit::Done),
        DiagnosisVerdict::Changed => Ok(Exit::Changed),
        DiagnosisVerdict::CheckFailed => Ok(Exit::CheckFailed),
        _ => Err(Fault::new(Exit::Mismatch, "the server's verdict is of another release")
            .next("compare the releases of both sides: `sixpack version`")),
    }
}

fn told(diagnosis: &Diagnosis, output: &mut Output) -> Result<(), Fault> {
    let mark = match diagnosis.verdict {
        DiagnosisVerdict::StillValid => "✔",
        _ => "✖",
    };
    output.line(format!("{mark} {}", diagnosis.message))?;
    if let Some(first) = &diagnosis.first {
        output.line(format!("part     {}", first.path))?;
        if let Some(of) = &first.owner {
            output.line(format!("owner    {}", owner(of)))?;
        }
    }
    output.line(format!(
        "dataset  {}, handed over at {} UTC, asked about at {} UTC: {} of {} parts",
        diagnosis.dataset_id,
        moment(&diagnosis.handed_over_at),
        moment(&diagnosis.diagnosed_at),
        diagnosis.checked,
        diagnosis.of
    ))?;
    if !diagnosis.parts.is_empty() {
        output.line("")?;
        let header = ["PART", "CONTRACT", "", "THEN", "NOW", "BY", "SAYS"];
        output.table(header, diagnosis.parts.iter().map(row))?;
    }
    if !diagnosis.differences.is_empty() {
        output.line("")?;
        let rows = diagnosis.differences.iter().map(|difference| {
            let value = |value: &Option<Value>| or_dash(value.as_ref().map(plain));
            let (before, after) = (value(&difference.before), value(&difference.after));
            [whole(&difference.path), whole(&difference.pointer), before, after]
        });
        output.table(["PART", "FACT", "THEN", "NOW"], rows)?;
    }
    if diagnosis.more > 0 {
        output.line(format!("and {} more", diagnosis.more))?;
    }
    for invariant in diagnosis.invariants.iter().filter(|invariant| !invariant.held) {
        output.line(format!("✖ broken  {}", invariant.message.as_ref().unwrap_or(&invariant.says)))?;
    }
    Ok(())
}

fn row(part: &PartDiagnosis) -> [String; 7] {
    let Known { build, instance, message, .. } = &part.now;
    [
        whole(&part.path),
        format!("{}@{}", part.contract, part.version),
        part.state.to_string(),
        said(&part.then),
        if part.state == PartState::Unchecked { "-".to_owned() } else { said(&part.now) },
        or_dash(build.as_ref().or(instance.as_ref()).cloned()),
        message.clone().unwrap_or_default(),
    ]
}

/// What a service said, and when.
fn said(known: &Known) -> String {
    match (known.verdict, &known.checked_at) {
        (CheckVerdict::Unchecked, _) => "-".to_owned(),
        (verdict, Some(at)) => format!("{verdict} at {}", moment(at)),
        (verdict, None) => verdict.to_string(),
    }
}

fn whole(text: &str) -> String {
    if text.is_empty() { "(all)".to_owned() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_verdict_has_its_end() {
        for (verdict, exit) in [
            ("still_valid", Some(Exit::Done)),
            ("changed", Some(Exit::Changed)),
            ("check_failed", Some(Exit::CheckFailed)),
            ("of another release", None),
        ] {
            let diagnosis = json!({"lease_id": "lease_1", "dataset_id": "ds_1", "verdict": verdict});
            let diagnosis: Diagnosis = serde_json::from_value(diagnosis).unwrap();
            assert_eq!(exit_of(&diagnosis).ok(), exit, "{verdict}");
        }
    }
}
