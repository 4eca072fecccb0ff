//! Names: environments, contracts and sets of pinned versions have numbers, so that hot rows stay narrow.

use rusqlite::params;

use super::statements::Statements;
use super::writer::Tx;

impl Tx<'_> {
    /// The number of an environment; it comes into being with the first thing that is kept in it.
    pub(super) fn environment(&mut self, name: &str) -> rusqlite::Result<i64> {
        if let Some(number) = self.memory.environments.get(name) {
            return Ok(*number);
        }
        self.connection.run(
            "INSERT INTO environment (name, revision, created_at) VALUES (?1, 0, ?2) ON CONFLICT DO NOTHING",
            params![name, self.now],
        )?;
        let number = self
            .connection
            .prepare_cached("SELECT id FROM environment WHERE name = ?1")?
            .query_row([name], |row| row.get(0))?;
        self.memory.environments.insert(name.to_owned(), number);
        self.memory.bound();
        Ok(number)
    }

    /// The number of a contract's name, whether it is in the catalogue or not.
    pub(super) fn contract(&mut self, environment: i64, name: &str) -> rusqlite::Result<i64> {
        if let Some(number) = self.memory.contracts.get(&environment).and_then(|names| names.get(name)) {
            return Ok(*number);
        }
        self.connection.run(
            "INSERT INTO contract (environment, name, offered) VALUES (?1, ?2, 0) ON CONFLICT DO NOTHING",
            params![environment, name],
        )?;
        let number = self
            .connection
            .prepare_cached("SELECT id FROM contract WHERE environment = ?1 AND name = ?2")?
            .query_row(params![environment, name], |row| row.get(0))?;
        self.memory.contracts.entry(environment).or_default().insert(name.to_owned(), number);
        self.memory.bound();
        Ok(number)
    }

    /// The number of a set of pinned versions.
    pub(super) fn pins(&mut self, pins: &str) -> rusqlite::Result<i64> {
        if let Some(number) = self.memory.pins.get(pins) {
            return Ok(*number);
        }
        self.connection.run("INSERT INTO pins (pins) VALUES (?1) ON CONFLICT DO NOTHING", [pins])?;
        let number = self
            .connection
            .prepare_cached("SELECT id FROM pins WHERE pins = ?1")?
            .query_row([pins], |row| row.get(0))?;
        self.memory.pins.insert(pins.to_owned(), number);
        self.memory.bound();
        Ok(number)
    }
}
