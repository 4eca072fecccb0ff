//! The program `sixpack`: the server, and the commands of its users.

mod about;
mod backups;
mod connection;
mod contracts;
mod datasets;
mod debts;
mod dev;
mod diagnosis;
mod environments;
mod events;
mod exit;
mod extensions;
mod fault;
mod imports;
mod leases;
mod logging;
mod migrate;
mod moving;
mod paging;
mod printing;
mod quarantine;
mod report;
mod requests;
mod scenarios;
mod serve;
mod serving;
mod sessions;
mod settings;
mod stock;
mod stores;
mod times;
mod token_files;
mod tokens;
mod undoing;
mod watching;

use std::process::ExitCode;
use std::time::Duration;

use clap::error::{ContextKind, ContextValue};
use clap::{CommandFactory, Parser, Subcommand};

use exit::Exit;
use fault::Fault;
use printing::Output;

/// A server allocates small pieces on many threads all the time; the allocator of the C library spends a tenth of the
/// processor on that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How long what still runs in the background may take at the end; everything that matters was waited for.
const BACKGROUND: Duration = Duration::from_millis(200);

/// Requests business states that several services agree on, and leases them to testers and pipelines.
#[derive(Debug, Parser)]
#[command(name = "sixpack", version, arg_required_else_help = true, after_help = exit::TABLE, max_term_width = 120)]
struct Program {
    #[command(subcommand)]
    command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
enum Command {
    Dev(dev::DevCommand),
    Serve(serve::ServeCommand),
    Apply(scenarios::ApplyCommand),
    Contracts(contracts::ContractsCommand),
    Request(requests::RequestCommand),
    Requests(requests::RequestsCommand),
    Cancel(requests::CancelCommand),
    Lease(leases::LeaseCommand),
    Diagnose(diagnosis::DiagnoseCommand),
    Extend(extensions::ExtendCommand),
    Datasets(datasets::DatasetsCommand),
    Stock(stock::StockCommand),
    Import(imports::ImportCommand),
    Suppliers(sessions::SuppliersCommand),
    Quarantine(quarantine::QuarantineCommand),
    Debts(debts::DebtsCommand),
    Events(events::EventsCommand),
    Token(tokens::TokenCommand),
    Environments(environments::EnvironmentsCommand),
    Settings(settings::SettingsCommand),
    Backup(backups::BackupCommand),
    Restore(backups::RestoreCommand),
    Migrate(migrate::MigrateCommand),
    Export(moving::ExportCommand),
    ImportStore(moving::ImportStoreCommand),
    /// Prints the OpenAPI 3.1 document of the HTTP API
    Openapi,
    Version(about::VersionCommand),
    Completions(about::CompletionsCommand),
}

fn main() -> ExitCode {
    let program = match Program::try_parse() {
        Ok(program) => program,
        Err(asked) => {
            let asked = with_nearer_names(asked);
            // Help and version are answers, everything else is wrong usage.
            let exit = if asked.use_stderr() { Exit::Usage } else { Exit::Done };
            return ended(if asked.print().is_ok() { exit } else { Exit::Io });
        }
    };
    let command = program.command;
    // A panic has been told by its hook; it must not look like a refusal.
    let outcome = std::panic::catch_unwind(|| run_to_end(&command));
    ended(match outcome {
        Ok(Ok(exit)) => exit,
        Ok(Err(fault)) => {
            printing::tell(&fault);
            if command.wants_json() && !fault.what.is_empty() {
                // Whoever reads one object gets one.
                let _ = Output::new().json(&fault.json());
            }
            fault.exit
        }
        Err(_) => Exit::Internal,
    })
}

/// Puts a command that the given word begins with, or that begins with it, in place of what only looks alike: `leases` is
/// nearer to `lease` than to `releases`.
fn with_nearer_names(mut asked: clap::Error) -> clap::Error {
    let Some(ContextValue::String(given)) = asked.get(ContextKind::InvalidSubcommand) else { return asked };
    let given = given.clone();
    let program = Program::command();
    let near = |name: &str| name.starts_with(&given) || given.starts_with(name);
    let names = program.get_subcommands().map(|command| command.get_name().to_owned());
    let near: Vec<String> = names.filter(|name| near(name)).collect();
    if !near.is_empty() {
        asked.insert(ContextKind::SuggestedSubcommand, ContextValue::Strings(near));
    }
    asked
}

fn run_to_end(command: &Command) -> Result<Exit, Fault> {
    let is_server = matches!(command, Command::Dev(_) | Command::Serve(_));
    let mut builder = match is_server {
        true => tokio::runtime::Builder::new_multi_thread(),
        // A client waits for one thing at a time.
        false => tokio::runtime::Builder::new_current_thread(),
    };
    let runtime = builder.enable_all().build();
    let runtime = runtime.map_err(|error| Fault::new(Exit::Internal, format!("cannot start: {error}")))?;
    let outcome = runtime.block_on(Box::pin(run(command)));
    runtime.shutdown_timeout(BACKGROUND);
    outcome
}

async fn run(command: &Command) -> Result<Exit, Fault> {
    let output = &mut Output::new();
    match command {
        Command::Dev(command) => dev::run(command, output).await,
        Command::Serve(command) => serve::run(command).await,
        Command::Apply(command) => scenarios::run(command, output).await,
        Command::Contracts(command) => contracts::run(command, output).await,
        Command::Request(command) => requests::run_request(command, output).await,
        Command::Requests(command) => requests::run(command, output).await,
        Command::Cancel(command) => requests::run_cancel(command, output).await,
        Command::Lease(command) => leases::run(command, output).await,
        Command::Diagnose(command) => diagnosis::run(command, output).await,
        Command::Extend(command) => extensions::run(command, output).await,
        Command::Datasets(command) => datasets::run(command, output).await,
        Command::Stock(command) => stock::run(command, output).await,
        Command::Import(command) => imports::run(command, output).await,
        Command::Suppliers(command) => sessions::run(command, output).await,
        Command::Quarantine(command) => quarantine::run(command, output).await,
        Command::Debts(command) => debts::run(command, output).await,
        Command::Events(command) => events::run(command, output).await,
        Command::Token(command) => tokens::run(command, output).await,
        Command::Environments(command) => environments::run(command, output).await,
        Command::Settings(command) => settings::run(command, output),
        Command::Backup(command) => backups::run_backup(command, output).await,
        Command::Restore(command) => backups::run_restore(command, output).await,
        Command::Migrate(command) => migrate::run(command, output).await,
        Command::Export(command) => moving::run_export(command, output).await,
        Command::ImportStore(command) => moving::run_import(command, output).await,
        Command::Openapi => about::run_openapi(output),
        Command::Version(command) => about::run_version(command, output).await,
        Command::Completions(command) => about::run_completions(command, Program::command(), output),
    }
}

impl Command {
    /// Whether the output is for a machine.
    fn wants_json(&self) -> bool {
        use contracts::ContractsAction;
        use datasets::DatasetsAction;
        use debts::DebtsAction;
        use leases::LeaseAction;
        use quarantine::QuarantineAction;
        use requests::RequestsAction;
        use stock::StockAction;
        use tokens::TokenAction;
        match self {
            Self::Dev(_) | Self::Serve(_) | Self::Openapi | Self::Completions(_) => false,
            Self::Apply(command) => command.json,
            Self::Contracts(command) => match &command.action {
                None => command.search.listing.json,
                Some(ContractsAction::List(search)) => search.listing.json,
                Some(ContractsAction::Show(show)) => show.json,
                Some(ContractsAction::Remove(remove)) => remove.json,
            },
            Self::Request(command) => command.json,
            Self::Requests(command) => match &command.action {
                None => command.list.listing.json,
                Some(RequestsAction::List(list)) => list.listing.json,
                Some(RequestsAction::Show(show)) => show.json,
            },
            Self::Cancel(command) => command.json,
            Self::Diagnose(command) => command.json,
            Self::Extend(command) => command.json,
            Self::Lease(command) => match &command.action {
                LeaseAction::List(list) => list.listing.json,
                LeaseAction::Show(show) => show.json,
                LeaseAction::Renew(renew) => renew.json,
                LeaseAction::Release(release) => release.json,
                LeaseAction::Revoke(revoke) => revoke.json,
            },
            Self::Datasets(command) => match &command.action {
                DatasetsAction::List(list) => list.listing.json,
                DatasetsAction::Show(show) => show.json,
            },
            Self::Stock(command) => match &command.action {
                None => command.list.listing.json,
                Some(StockAction::List(list)) => list.listing.json,
                Some(StockAction::Set(set)) => set.rule.json,
                Some(
                    StockAction::Show(rule)
                    | StockAction::Pause(rule)
                    | StockAction::Resume(rule)
                    | StockAction::Drain(rule)
                    | StockAction::Delete(rule),
                ) => rule.json,
            },
            Self::Import(command) => command.json,
            Self::Suppliers(command) => command.listing.json,
            Self::Quarantine(command) => match &command.action {
                None => command.list.listing.json,
                Some(QuarantineAction::List(list)) => list.listing.json,
                Some(QuarantineAction::Resolve(resolve)) => resolve.json,
            },
            Self::Debts(command) => match &command.action {
                None => command.list.listing.json,
                Some(DebtsAction::List(list)) => list.listing.json,
                Some(DebtsAction::Resolve(resolve)) => resolve.json,
            },
            Self::Events(command) => command.json,
            Self::Token(command) => match &command.action {
                TokenAction::Create(create) => create.json,
                TokenAction::List(list) => list.listing.json,
                TokenAction::Revoke(_) => false,
            },
            Self::Environments(command) => command.listing.json,
            Self::Settings(command) => command.json,
            Self::Backup(command) => command.wants_json(),
            Self::Restore(command) => command.json,
            Self::Migrate(command) => command.wants_json(),
            Self::Export(command) => command.store.json,
            Self::ImportStore(command) => command.store.json,
            Self::Version(command) => command.json,
        }
    }
}

fn ended(exit: Exit) -> ExitCode {
    ExitCode::from(exit.code())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commands_are_well_formed() {
        Program::command().debug_assert();
    }

    #[test]
    fn every_command_says_what_it_is_for() {
        fn check(command: &clap::Command) {
            for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
                assert!(inner.get_about().is_some(), "{} has no help", inner.get_name());
                for argument in inner
                    .get_arguments()
                    .filter(|argument| !matches!(argument.get_id().as_str(), "help" | "version"))
                {
                    assert!(
                        argument.get_help().is_some(),
                        "{} {} has no help",
                        inner.get_name(),
                        argument.get_id()
                    );
                }
                check(inner);
            }
        }
        check(&Program::command());
    }

    #[test]
    fn no_command_takes_a_token_as_an_argument() {
        for arguments in
            [["sixpack", "contracts", "--token", "sxp_x"], ["sixpack", "dev", "--token", "sxp_x"]]
        {
            assert!(Program::try_parse_from(arguments).is_err());
        }
    }
}
