//! The engine over a real store: consumers ask, suppliers answer by hand, the clock is moved.

mod applying;
mod channels;
mod claiming;
mod conservation;
mod contracts;
mod debts;
mod diagnosing;
mod doubting;
mod ending;
mod entities;
mod extending;
mod finding;
mod importing;
mod joining;
mod leasing;
mod out_of_stock;
#[path = "sqlite.rs"]
mod place;
mod quarantine;
mod requesting;
mod rerunning;
mod retaining;
mod rolling_back;
mod steps;
mod stock;
mod stock_history;
mod stock_rules;
mod tokens;
mod town;
mod troubles;
mod validity;
