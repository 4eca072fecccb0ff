//! `sixpack contracts`: searches the catalogue, and shows one contract.

use clap::{Args, Subcommand, ValueEnum};
use serde_json::Value;
use sixpack::wire::{Contract, ContractFilter, ContractKind, ContractStatus, Owner};

use crate::connection::{Connection, InChannel, InEnvironment};
use crate::exit::Exit;
use crate::fault::Fault;
use crate::leases::plain;
use crate::paging::{Listing, or_dash};
use crate::printing::Output;
use crate::times::moment;

/// What schemas mark properties by, and what is said of it.
const MARKS: [(&str, &str); 4] = [
    ("x-entity", "key of"),
    ("x-secret", "secret"),
    ("x-selectable", "selectable from stock"),
    ("x-volatile", "volatile: differs each time"),
];

/// Searches the catalogue, or shows one contract.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  sixpack contracts                               everything that can be requested
  sixpack contracts payment --label pii=none      words of name, description, owner or labels
  sixpack contracts --owner Billing --kind capability
  sixpack contracts --channel ada-laptop          as requests in that channel see it
  sixpack contracts show checkout/ready-customer  its input and output, its steps, and who uses it
  sixpack contracts remove customer/by-mistake    takes it out of the catalogue when nothing depends on it"
)]
pub(crate) struct ContractsCommand {
    #[command(subcommand)]
    pub(crate) action: Option<ContractsAction>,
    #[command(flatten)]
    pub(crate) search: SearchContracts,
}

/// What to do in place of searching.
#[derive(Debug, Subcommand)]
pub(crate) enum ContractsAction {
    /// List contracts; the same as without a command
    List(SearchContracts),
    /// Show one contract
    Show(ShowContract),
    /// Remove a contract that nothing depends on any more
    Remove(RemoveContract),
}

/// Removes a contract.
#[derive(Debug, Args)]
#[command(after_help = "\
A capability that was published by mistake: it must be offline, and no scenario, stock rule, dataset or debt may be left of
it; what is left is listed. Published again it comes back, with its next version.")]
pub(crate) struct RemoveContract {
    /// The contract: domain/name
    contract: String,
    #[command(flatten)]
    environment: InEnvironment,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// What to search for.
#[derive(Debug, Args)]
pub(crate) struct SearchContracts {
    /// Words that must all occur
    query: Option<String>,
    /// Only those of this team
    #[arg(long, value_name = "TEAM")]
    owner: Option<String>,
    /// Only those with this label
    #[arg(long, value_name = "KEY=VALUE", value_parser = label)]
    label: Option<String>,
    /// Only capabilities, or only scenarios
    #[arg(long)]
    kind: Option<SearchedKind>,
    /// Only those of this domain
    #[arg(long)]
    domain: Option<String>,
    #[command(flatten)]
    channel: InChannel,
    #[command(flatten)]
    environment: InEnvironment,
    #[command(flatten)]
    pub(crate) listing: Listing,
    #[command(flatten)]
    connection: Connection,
}

/// What a contract is made of.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum SearchedKind {
    Capability,
    Scenario,
}

/// Shows one contract.
#[derive(Debug, Args)]
pub(crate) struct ShowContract {
    /// The contract: domain/name, or domain/name@version
    contract: String,
    #[command(flatten)]
    channel: InChannel,
    #[command(flatten)]
    environment: InEnvironment,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Runs the command.
pub(crate) async fn run(command: &ContractsCommand, output: &mut Output) -> Result<Exit, Fault> {
    match &command.action {
        None => show_all(&command.search, output).await?,
        Some(ContractsAction::List(search)) => show_all(search, output).await?,
        Some(ContractsAction::Remove(remove)) => {
            let client = remove.connection.client()?;
            client.remove_contract(&remove.environment.name(), &remove.contract).await?;
            match remove.json {
                true => output.json(&serde_json::json!({ "removed": remove.contract }))?,
                false => output.line(format!("removed {}", remove.contract))?,
            }
        }
        Some(ContractsAction::Show(show)) => {
            let client = show.connection.client()?;
            let environment = show.environment.name();
            let (name, version) = match show.contract.rsplit_once('@') {
                None => (show.contract.as_str(), None),
                Some((name, version)) => (
                    name,
                    Some(version.parse().map_err(|_| {
                        Fault::new(Exit::Usage, format!("`{version}` is no version of a contract"))
                            .next("write domain/name@3, or domain/name for the newest")
                    })?),
                ),
            };
            let contract = match (show.channel.name(), version) {
                (Some(channel), version) => client.contract_in(&environment, &channel, name, version).await?,
                (None, Some(version)) => client.contract_version(&environment, name, version).await?,
                (None, None) => client.contract(&environment, name).await?,
            };
            if show.json {
                output.json(&contract)?;
            } else {
                show_one(&contract, output)?;
            }
        }
    }
    Ok(Exit::Done)
}

/// An owner in one line: team, contact, where to report.
pub(crate) fn owner(owner: &Owner) -> String {
    let parts = [Some(&owner.team), owner.contact.as_ref(), owner.issues.as_ref()];
    parts.into_iter().flatten().filter(|text| !text.is_empty()).cloned().collect::<Vec<_>>().join(" · ")
}

async fn show_all(search: &SearchContracts, output: &mut Output) -> Result<(), Fault> {
    let client = search.connection.client()?;
    let environment = search.environment.name();
    let filter = ContractFilter {
        q: search.query.clone(),
        owner: search.owner.clone(),
        label: search.label.clone(),
        kind: search.kind.map(|kind| match kind {
            SearchedKind::Capability => ContractKind::Capability,
            SearchedKind::Scenario => ContractKind::Scenario,
        }),
        domain: search.domain.clone(),
        channel: search.channel.name(),
        ..ContractFilter::default()
    };
    let page = async |limit, cursor| {
        client.contracts(&environment, &ContractFilter { limit: Some(limit), cursor, ..filter.clone() }).await
    };
    let rows = search.listing.read(page).await?;
    let header = ["CONTRACT", "KIND", "STATUS", "CHECKED", "OWNER", "DESCRIPTION"];
    let none = format!("no contract of the environment `{environment}` matches; suppliers publish them");
    search.listing.print(output, &rows, header, &none, |contract| {
        [
            format!("{}@{}", contract.name, contract.version),
            contract.kind.to_string(),
            where_it_is(&contract.status, contract.channel.as_deref()),
            format!("{} of {}", contract.checked, contract.of),
            contract.owner.team.clone(),
            contract.description.lines().next().unwrap_or_default().to_owned(),
        ]
    })
}

fn show_one(contract: &Contract, output: &mut Output) -> Result<(), Fault> {
    let status = where_it_is(&contract.status, contract.channel.as_deref());
    output.line(format!("{}@{}  {}  {status}", contract.name, contract.version, contract.kind))?;
    output.block(&contract.description)?;
    output.line(format!("owner    {}", owner(&contract.owner)))?;
    if !contract.labels.is_empty() {
        let labels = contract.labels.iter().map(|(key, value)| format!("{key}={value}"));
        output.line(format!("labels   {}", labels.collect::<Vec<_>>().join(", ")))?;
    }
    if !contract.operations.is_empty() {
        let operations: Vec<_> = contract.operations.iter().map(ToString::to_string).collect();
        let suppliers = match contract.sessions {
            None => String::new(),
            Some(0) => "  (no supplier is connected)".to_owned(),
            Some(1) => "  by 1 connected supplier".to_owned(),
            Some(count) => format!("  by {count} connected suppliers"),
        };
        output.line(format!("does     {}{suppliers}", operations.join(", ")))?;
    }
    output.line(format!("checked  {} of {} parts", contract.checked, contract.of))?;
    if contract.drifted > 0 {
        let times =
            if contract.drifted == 1 { "once".to_owned() } else { format!("{} times", contract.drifted) };
        output.line(format!("drifted  {times} it was the first in stock that did not hold any more"))?;
    }
    if let Some(imported) = contract.imported {
        let checking = if imported.checking > 0 {
            format!(", {} being checked", imported.checking)
        } else {
            String::new()
        };
        output.line(format!("imported  {} in stock{checking}", imported.ready))?;
    }
    if let Some(doubted) = &contract.doubted {
        output.line(format!("doubted  {}; owner {}", doubted.message, owner(&doubted.owner)))?;
    }
    for fault in &contract.faults {
        output.line(format!("fault    {fault}"))?;
    }
    schema("INPUT", &contract.input, output)?;
    schema("OUTPUT", &contract.output, output)?;
    if let Some(facts) = &contract.facts {
        schema("FACTS", facts, output)?;
    }
    steps(contract, output)?;
    if !contract.used_by.is_empty() {
        output.line("")?;
        output.line(format!("used by  {}", contract.used_by.join(", ")))?;
    }
    output.line("")?;
    let versions = contract.versions.iter().map(|version| {
        let changes: Vec<_> = version.changes.iter().map(ToString::to_string).collect();
        let [number, change] = [version.version.to_string(), version.change.to_string()];
        let sessions = version.sessions.map(|sessions| sessions.to_string()).unwrap_or_default();
        [number, change, moment(&version.created_at), sessions, changes.join("; ")]
    });
    output.table(["VERSION", "CHANGE", "SINCE", "SUPPLIERS", "WHAT"], versions)?;
    output.line("")?;
    output.line(how_to_go_on(contract))
}

/// How it is requested, or what has to happen before it can be.
fn how_to_go_on(contract: &Contract) -> String {
    match contract.status {
        ContractStatus::Broken => {
            "it cannot be requested: it mends itself when versions are offered that it fits again, else apply its file mended"
                .to_owned()
        }
        _ => format!("request it:  {}", example(contract)),
    }
}

/// Whether a contract can be made, and in which channel if that offers it.
fn where_it_is(status: &ContractStatus, channel: Option<&str>) -> String {
    channel.map_or_else(|| status.to_string(), |channel| format!("{status} in {channel}"))
}

/// A label as the API writes it.
fn label(text: &str) -> Result<String, String> {
    match text.split_once(['=', ':']) {
        Some((key, value)) if !key.is_empty() => Ok(format!("{key}:{value}")),
        _ => Err("write key=value, for example pii=none".to_owned()),
    }
}

fn steps(contract: &Contract, output: &mut Output) -> Result<(), Fault> {
    if contract.steps.is_empty() {
        return Ok(());
    }
    output.line("")?;
    output.table(
        ["STEP", "USES", "NEEDS", "WITH"],
        contract.steps.iter().map(|step| {
            let needs = (!step.needs.is_empty()).then(|| step.needs.join(", "));
            [step.name.clone(), step.uses.clone(), or_dash(needs), plain(&step.with)]
        }),
    )?;
    if contract.invariants.is_empty() {
        return Ok(());
    }
    output.line("")?;
    let invariants =
        contract.invariants.iter().map(|invariant| [invariant.says.clone(), invariant.that.clone()]);
    output.table(["INVARIANT", "THAT"], invariants)
}

/// Prints the properties of a schema as rows; one of another form as JSON.
fn schema(title: &str, schema: &Value, output: &mut Output) -> Result<(), Fault> {
    output.line("")?;
    let Some(properties) = schema["properties"].as_object().filter(|properties| !properties.is_empty())
    else {
        return output.line(format!("{title}  {schema}"));
    };
    let required = |name: &str| {
        schema["required"].as_array().is_some_and(|names| names.iter().any(|required| required == name))
    };
    let rows = properties.iter().map(|(name, property)| {
        let kind = match (&property["enum"], &property["const"], &property["type"]) {
            (Value::Array(values), ..) => values.iter().map(plain).collect::<Vec<_>>().join(" | "),
            (_, constant, _) if !constant.is_null() => plain(constant),
            (.., Value::Null) => "any".to_owned(),
            (.., kind) => plain(kind),
        };
        let description = property["description"].as_str().map(str::to_owned);
        let says: Vec<_> = description.into_iter().chain(marks(property)).collect();
        let need = match (&property["default"], required(name)) {
            (Value::Null, true) => "required".to_owned(),
            (Value::Null, false) => "optional".to_owned(),
            (default, _) => format!("default {}", plain(default)),
        };
        [name.clone(), kind, need, says.join("; ")]
    });
    output.table([title, "TYPE", "", ""], rows)
}

/// What a property is marked by.
fn marks(property: &Value) -> impl Iterator<Item = String> {
    MARKS.into_iter().filter_map(|(mark, says)| match &property[mark] {
        Value::Null | Value::Bool(false) => None,
        Value::String(what) => Some(format!("{says} {what}")),
        _ => Some(says.to_owned()),
    })
}

/// A command that requests the contract, with a place for every input that has to be given.
fn example(contract: &Contract) -> String {
    let mut command = format!("sixpack request {}", contract.name);
    let required = contract.input["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    for name in required.filter(|name| contract.input["properties"][*name]["default"].is_null()) {
        let property = &contract.input["properties"][name];
        let value = property["enum"][0].as_str().unwrap_or("…");
        command.push_str(&format!(" --set {name}={value}"));
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_label_has_a_key_and_a_value() {
        for text in ["pii=none", "pii:none"] {
            assert_eq!(label(text), Ok("pii:none".to_owned()));
        }
        assert!(label("pii").is_err() && label("=none").is_err());
    }

    #[test]
    fn every_mark_of_a_property_is_told() {
        let property =
            json!({"x-entity": "order", "x-secret": false, "x-selectable": true, "x-volatile": true});
        let told: Vec<String> = marks(&property).collect();
        assert_eq!(told, ["key of order", "selectable from stock", "volatile: differs each time"]);
        assert_eq!(marks(&json!({"x-secret": true})).collect::<Vec<_>>(), ["secret"]);
    }

    #[test]
    fn a_contract_that_is_broken_cannot_be_requested() {
        let of = |status: &str| -> Contract {
            serde_json::from_value(json!({"name":"a/b","version":1,"kind":"scenario","status":status}))
                .unwrap()
        };
        assert_eq!(how_to_go_on(&of("offline")), "request it:  sixpack request a/b");
        let broken = how_to_go_on(&of("broken"));
        assert!(broken.contains("cannot be requested") && !broken.contains("sixpack request"), "{broken}");
    }

    #[test]
    fn the_example_names_what_has_to_be_given() {
        let contract: Contract = serde_json::from_value(json!({
            "name":"a/b","version":1,"kind":"capability","status":"online",
            "input":{"type":"object","required":["country","id","lines"],"properties":{
                "country":{"enum":["CZ","FR"]},"id":{"type":"string"},"lines":{"default":2},"note":{}}}
        }))
        .unwrap();
        assert_eq!(example(&contract), "sixpack request a/b --set country=CZ --set id=…");
    }
}
