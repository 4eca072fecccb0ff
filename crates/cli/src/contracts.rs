//! `sixpack contracts`: searches the catalogue, and shows one contract.

mod statistics;
mod telling;

use clap::{Args, Subcommand, ValueEnum};
use sixpack::wire::{ContractFilter, ContractKind, ContractStatus, Owner};
use statistics::WithStatistics;

use crate::connection::{Connection, InChannel, InEnvironment};
use crate::exit::Exit;
use crate::fault::Fault;
use crate::paging::Listing;
use crate::printing::Output;

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
            let statistics = match show.channel.name() {
                Some(_) => None,
                None => Some(client.contract_statistics(&environment, name).await?),
            };
            let statistics = statistics.as_ref();
            if show.json {
                output.json(&WithStatistics { contract: &contract, statistics })?;
            } else {
                telling::show_one(&contract, statistics, output)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_has_a_key_and_a_value() {
        for text in ["pii=none", "pii:none"] {
            assert_eq!(label(text), Ok("pii:none".to_owned()));
        }
        assert!(label("pii").is_err() && label("=none").is_err());
    }
}
