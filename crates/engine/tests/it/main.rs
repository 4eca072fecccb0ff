//! The engine over a real store: consumers ask, suppliers answer by hand, the clock is moved.

mod channels;
mod claiming;
mod contracts;
mod ending;
mod entities;
mod extending;
mod leasing;
mod requesting;
mod rerunning;
mod steps;
mod stock;
mod stock_rules;
mod tokens;
mod town;
mod validity;
