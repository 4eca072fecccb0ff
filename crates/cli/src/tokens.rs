//! `sixpack token`: makes, lists and revokes tokens.

use std::ops::RangeInclusive;

use clap::{Args, Subcommand, ValueEnum};
use sixpack::wire::{NewToken, PageFilter, Role, Token};

use crate::connection::Connection;
use crate::exit::Exit;
use crate::fault::{Fault, Named};
use crate::paging::{Listing, or_dash};
use crate::printing::{Output, note};
use crate::times::{moment, moment_or_dash, seconds_within};

/// How long a token may be good, in seconds: from a minute to a year.
const LIFETIME_S: RangeInclusive<u64> = 60..=31_536_000;

/// Makes, lists and revokes tokens. Needs a token of the role admin.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sixpack token create ci --role consumer
  sixpack token create billing --role supplier --domain billing --expires-in 30d
  SIXPACK_TOKEN=$(sixpack token create ci --role consumer --quiet) ./run-tests
  sixpack token list
  sixpack token revoke tok_06e8…")]
pub(crate) struct TokenCommand {
    #[command(subcommand)]
    pub(crate) action: TokenAction,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum TokenAction {
    /// Make a token; it is printed this once
    Create(CreateToken),
    /// List tokens, without their secrets
    List(ListTokens),
    /// Revoke a token; it takes effect within 5 seconds
    Revoke(RevokeToken),
}

/// Makes a token, and prints it, alone, on the standard output: the server keeps only a hash.
#[derive(Debug, Args)]
pub(crate) struct CreateToken {
    /// What it is for, for people [default: the role]
    name: Option<String>,
    /// What it may do. admin: everything; supplier: publish capabilities and scenarios; consumer: request and lease
    #[arg(long)]
    role: TokenRole,
    /// Good for this environment only
    #[arg(long, value_name = "NAME")]
    environment: Option<String>,
    /// Good for this domain only (suppliers)
    #[arg(long, value_name = "NAME")]
    domain: Option<String>,
    /// How long it is good: 3600, 12h, 30d [default: 90d]
    #[arg(long, value_name = "SPAN", value_parser = seconds_within(LIFETIME_S))]
    expires_in: Option<u64>,
    /// Say nothing beside the token
    #[arg(long, short)]
    quiet: bool,
    /// Print one JSON object, with the token in it
    #[arg(long, conflicts_with = "quiet")]
    pub(crate) json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// What a token may do.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum TokenRole {
    Admin,
    Supplier,
    Consumer,
}

/// Lists tokens.
#[derive(Debug, Args)]
pub(crate) struct ListTokens {
    #[command(flatten)]
    pub(crate) listing: Listing,
    #[command(flatten)]
    connection: Connection,
}

/// Revokes a token.
#[derive(Debug, Args)]
pub(crate) struct RevokeToken {
    /// Id of the token (tok_…)
    id: String,
    #[command(flatten)]
    connection: Connection,
}

/// Runs the command.
pub(crate) async fn run(command: &TokenCommand, output: &mut Output) -> Result<Exit, Fault> {
    match &command.action {
        TokenAction::Create(create) => make(create, output).await?,
        TokenAction::List(list) => show_all(list, output).await?,
        TokenAction::Revoke(revoke) => {
            let revoked = revoke.connection.client()?.revoke_token(&revoke.id).await;
            revoked.map_err(|error| Fault::from(error).about(&revoke.id, Named::Token))?;
            note(format!("revoked {}", revoke.id));
        }
    }
    Ok(Exit::Done)
}

async fn make(create: &CreateToken, output: &mut Output) -> Result<(), Fault> {
    let role = match create.role {
        TokenRole::Admin => Role::Admin,
        TokenRole::Supplier => Role::Supplier,
        TokenRole::Consumer => Role::Consumer,
    };
    let name = create.name.clone().unwrap_or_else(|| role.to_string());
    let mut new = NewToken::new(name, role);
    new.environment = create.environment.clone();
    new.domain = create.domain.clone();
    new.expires_in_s = create.expires_in;
    let made = create.connection.client()?.create_token(&new).await?;
    if create.json {
        return output.json(&made);
    }
    output.line(&made.token)?;
    if !create.quiet {
        let end = made
            .expires_at
            .as_deref()
            .map_or("it does not expire".to_owned(), |at| format!("it expires {}", moment(at)));
        note(format!("{} ({role}), id {}; {end}. It is shown this once: keep it now.", made.name, made.id));
    }
    Ok(())
}

async fn show_all(list: &ListTokens, output: &mut Output) -> Result<(), Fault> {
    let client = list.connection.client()?;
    let page = async |limit, cursor| client.tokens(&PageFilter { limit: Some(limit), cursor }).await;
    let rows = list.listing.read(page).await?;
    let header = ["ID", "NAME", "ROLE", "BOUND TO", "EXPIRES", "LAST USED", "REVOKED"];
    list.listing.print(output, &rows, header, "there are no tokens", |token| {
        [
            token.id.clone(),
            token.name.clone(),
            token.role.to_string(),
            bounds(token),
            moment_or_dash(token.expires_at.as_ref()),
            moment_or_dash(token.last_used_at.as_ref()),
            moment_or_dash(token.revoked_at.as_ref()),
        ]
    })
}

fn bounds(token: &Token) -> String {
    let bounds = [("environment", &token.environment), ("domain", &token.domain)];
    let said: Vec<_> =
        bounds.iter().filter_map(|(what, name)| name.as_ref().map(|name| format!("{what} {name}"))).collect();
    or_dash((!said.is_empty()).then(|| said.join(", ")))
}
