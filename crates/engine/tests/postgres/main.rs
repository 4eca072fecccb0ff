//! The same tests over PostgreSQL, and what holds of several servers over one store.

#[path = "../it/applying.rs"]
mod applying;
#[path = "../it/channels.rs"]
mod channels;
#[path = "../it/claiming.rs"]
mod claiming;
#[path = "../it/conservation.rs"]
mod conservation;
#[path = "../it/contracts.rs"]
mod contracts;
#[path = "../it/debts.rs"]
mod debts;
#[path = "../it/diagnosing.rs"]
mod diagnosing;
#[path = "../it/doubting.rs"]
mod doubting;
#[path = "../it/ending.rs"]
mod ending;
#[path = "../it/entities.rs"]
mod entities;
#[path = "../it/extending.rs"]
mod extending;
#[path = "../it/finding.rs"]
mod finding;
#[path = "../it/importing.rs"]
mod importing;
#[path = "../it/joining.rs"]
mod joining;
#[path = "../it/leasing.rs"]
mod leasing;
mod moving;
#[path = "../it/out_of_stock.rs"]
mod out_of_stock;
mod place;
#[path = "../it/quarantine.rs"]
mod quarantine;
mod replicas;
#[path = "../it/requesting.rs"]
mod requesting;
#[path = "../it/rerunning.rs"]
mod rerunning;
#[path = "../it/retaining.rs"]
mod retaining;
#[path = "../it/rolling_back.rs"]
mod rolling_back;
#[path = "../it/steps.rs"]
mod steps;
#[path = "../it/stock.rs"]
mod stock;
#[path = "../it/stock_history.rs"]
mod stock_history;
#[path = "../it/stock_rules.rs"]
mod stock_rules;
#[path = "../it/tokens.rs"]
mod tokens;
#[path = "../it/town.rs"]
mod town;
#[path = "../it/troubles.rs"]
mod troubles;
mod unreadable;
#[path = "../it/validity.rs"]
mod validity;
