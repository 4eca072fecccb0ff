//! `sixpack stock`: lists, shows and edits the rules by which datasets are kept ready.

mod history;
mod telling;

use std::collections::HashMap;

use clap::{Args, Subcommand};
use serde_json::json;
use sixpack::Client;
use sixpack::wire::{PageFilter, RuleState, StockHistory, StockHistoryFilter, StockRuleEdit};

use crate::connection::{Connection, InEnvironment};
use crate::exit::Exit;
use crate::fault::{Fault, Named};
use crate::paging::{Listing, PAGE_MAX};
use crate::printing::{Output, note};
use history::{POINTS, POINTS_LISTED, WithHistory};

/// Lists, shows and edits stock rules: which datasets are kept ready before anybody asks.
///
/// Rules are written in a file and put with `sixpack apply`. What is set here holds until the file is applied again; a
/// rule that was paused or drained here stays so, unless its file says `paused`.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  sixpack apply -f stock.yaml                       puts the rules of a file
  sixpack stock                                     what is there, what is coming, and what keeps it away
  sixpack stock show ready-customer-fr              one rule, and what is wrong with it
  sixpack stock set ready-customer-fr --target 50   keeps more
  sixpack stock pause ready-customer-fr             no more are made; what is there stays
  sixpack stock resume ready-customer-fr
  sixpack stock drain ready-customer-fr             no more are made, and what is there is undone
  sixpack stock delete ready-customer-fr

A file of rules looks like this:
  stock:
    ready-customer-fr:
      contract: checkout/ready-customer
      input: { country: FR }
      target: 20"
)]
pub(crate) struct StockCommand {
    #[command(subcommand)]
    pub(crate) action: Option<StockAction>,
    #[command(flatten)]
    pub(crate) list: ListRules,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum StockAction {
    /// List rules by name, with what is there (the default)
    List(ListRules),
    /// Show one rule, what is there, and why it is not filled
    Show(OneRule),
    /// Change how many datasets a rule keeps ready
    Set(SetRule),
    /// Stop refilling a rule; what it has stays and is handed out
    Pause(OneRule),
    /// Refill a rule again that was paused or drained
    Resume(OneRule),
    /// Stop refilling a rule, and have undone what it has
    Drain(OneRule),
    /// Delete a rule
    Delete(OneRule),
}

/// Lists rules.
#[derive(Debug, Args)]
pub(crate) struct ListRules {
    #[command(flatten)]
    environment: InEnvironment,
    #[command(flatten)]
    pub(crate) listing: Listing,
    #[command(flatten)]
    connection: Connection,
}

/// Names one rule.
#[derive(Debug, Args)]
pub(crate) struct OneRule {
    /// Name of the rule
    name: String,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    environment: InEnvironment,
    #[command(flatten)]
    connection: Connection,
}

/// Changes one rule.
#[derive(Debug, Args)]
pub(crate) struct SetRule {
    #[command(flatten)]
    pub(crate) rule: OneRule,
    /// How many datasets to keep ready
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    target: u32,
}

/// Runs the command.
pub(crate) async fn run(command: &StockCommand, output: &mut Output) -> Result<Exit, Fault> {
    let to = |state| StockRuleEdit { state: Some(state), ..StockRuleEdit::default() };
    let done = match &command.action {
        None => list_rules(&command.list, output).await,
        Some(StockAction::List(list)) => list_rules(list, output).await,
        Some(StockAction::Show(rule)) => {
            show(rule, output).await.map_err(|fault| fault.about(&rule.name, Named::StockRule))
        }
        Some(StockAction::Set(set)) => {
            let edit = StockRuleEdit { target: Some(set.target), ..StockRuleEdit::default() };
            edited(&set.rule, edit, output).await
        }
        Some(StockAction::Pause(rule)) => edited(rule, to(RuleState::Paused), output).await,
        Some(StockAction::Resume(rule)) => edited(rule, to(RuleState::Active), output).await,
        Some(StockAction::Drain(rule)) => edited(rule, to(RuleState::Draining), output).await,
        Some(StockAction::Delete(rule)) => {
            delete(rule, output).await.map_err(|fault| fault.about(&rule.name, Named::StockRule))
        }
    };
    done.map(|()| Exit::Done)
}

async fn list_rules(list: &ListRules, output: &mut Output) -> Result<(), Fault> {
    let client = list.connection.client()?;
    let environment = list.environment.name();
    let page = async |limit, cursor| {
        client.stock_rules(&environment, &PageFilter { limit: Some(limit), cursor }).await
    };
    let rows = list.listing.read(page).await?;
    // What is printed for machines is what one call has answered.
    let histories = match list.listing.json {
        true => HashMap::new(),
        false => histories(&client, &environment, list.listing.limit).await?,
    };
    let none =
        "there is no stock rule yet; write some in a file and put them with `sixpack apply -f stock.yaml`";
    list.listing.print_with(output, &rows, telling::HEADER, none, |rule| {
        (telling::row(rule, histories.get(&rule.name)), telling::reasons(rule))
    })
}

/// What so many rules have had, by name.
async fn histories(
    client: &Client,
    environment: &str,
    limit: u32,
) -> Result<HashMap<String, StockHistory>, Fault> {
    // An environment has no more rules than one page.
    let (points, limit) = (Some(POINTS_LISTED), Some(limit.min(PAGE_MAX)));
    let filter = StockHistoryFilter { points, limit, cursor: None };
    let page = history::if_known(client.stock_histories(environment, &filter).await)?;
    let rows = page.into_iter().flat_map(|page| page.items);
    Ok(rows.map(|history| (history.name.clone(), history)).collect())
}

async fn show(command: &OneRule, output: &mut Output) -> Result<(), Fault> {
    let client = command.connection.client()?;
    let rule = client.get_stock_rule(&command.environment.name(), &command.name).await?;
    let history = client.stock_history(&command.environment.name(), &command.name, POINTS).await;
    let history = history::if_known(history)?;
    let history = history.as_ref();
    if command.json {
        return output.json(&WithHistory { rule: &rule, history });
    }
    telling::told(&rule, history, output)
}

async fn edited(command: &OneRule, edit: StockRuleEdit, output: &mut Output) -> Result<(), Fault> {
    let client = command.connection.client()?;
    let rule = client.edit_stock_rule(&command.environment.name(), &command.name, &edit).await;
    let rule = rule.map_err(|error| Fault::from(error).about(&command.name, Named::StockRule))?;
    if command.json {
        return output.json(&rule);
    }
    let becomes = match rule.state {
        RuleState::Active => "it is refilled whenever its window is open",
        RuleState::Paused => "it is not refilled; what it has stays",
        RuleState::Draining => "it is not refilled, and what it has is undone",
        _ => "",
    };
    output.line(format!("{} has the target {} and is {}: {becomes}", rule.name, rule.target, rule.state))?;
    rule.warnings.iter().for_each(|warning| note(format!("⚠ {warning}")));
    Ok(())
}

async fn delete(command: &OneRule, output: &mut Output) -> Result<(), Fault> {
    let client = command.connection.client()?;
    client.delete_stock_rule(&command.environment.name(), &command.name).await?;
    if command.json {
        return output.json(&json!({ "deleted": command.name }));
    }
    output.line(format!("deleted the stock rule {}", command.name))
}
