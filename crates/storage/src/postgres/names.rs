//! Names: environments, contracts and sets of pinned versions have numbers, so that hot rows stay narrow.
//!
//! An insert that meets a row of another transaction waits until that one has ended, and the statement behind it then sees which
//! of them it was.

use super::columns::number;
use super::faults::Fault;
use super::statements::Params;
use super::writer::Tx;

impl Tx {
    /// The number of an environment; it comes into being with the first thing that is kept in it.
    pub(super) async fn environment(&mut self, name: &str) -> Result<i64, Fault> {
        let mine = self.found.environments.get(name).copied();
        if let Some(known) = mine.or_else(|| self.memory.know(|names| names.environments.get(name).copied()))
        {
            return Ok(known);
        }
        let insert =
            "INSERT INTO environment (name, revision, created_at) VALUES ($1, 0, $2) ON CONFLICT DO NOTHING";
        let now = self.now;
        let number = self
            .numbered("SELECT id FROM environment WHERE name = $1", &[&name], insert, &[&name, &now])
            .await?;
        self.found.environments.insert(name.to_owned(), number);
        Ok(number)
    }

    /// The number of a contract's name, whether it is in the catalogue or not.
    pub(super) async fn contract(&mut self, environment: i64, name: &str) -> Result<i64, Fault> {
        let mine = self.found.contracts.get(&environment).and_then(|names| names.get(name)).copied();
        let known = || self.memory.know(|names| names.contracts.get(&environment)?.get(name).copied());
        if let Some(known) = mine.or_else(known) {
            return Ok(known);
        }
        let insert =
            "INSERT INTO contract (environment, name, offered) VALUES ($1, $2, false) ON CONFLICT DO NOTHING";
        let find = "SELECT id FROM contract WHERE environment = $1 AND name = $2";
        let number = self.numbered(find, &[&environment, &name], insert, &[&environment, &name]).await?;
        self.found.contracts.entry(environment).or_default().insert(name.to_owned(), number);
        Ok(number)
    }

    /// The number of a set of pinned versions.
    pub(super) async fn pins(&mut self, pins: &str) -> Result<i64, Fault> {
        let mine = self.found.pins.get(pins).copied();
        if let Some(known) = mine.or_else(|| self.memory.know(|names| names.pins.get(pins).copied())) {
            return Ok(known);
        }
        let insert = "INSERT INTO pins (pins) VALUES ($1) ON CONFLICT DO NOTHING";
        let find = "SELECT id FROM pins WHERE text_hash(pins) = text_hash($1)";
        let number = self.numbered(find, &[&pins], insert, &[&pins]).await?;
        self.found.pins.insert(pins.to_owned(), number);
        Ok(number)
    }

    /// Looks first, because an insert that comes to nothing uses up a number.
    async fn numbered(
        &self,
        find: &str,
        key: Params<'_>,
        insert: &str,
        values: Params<'_>,
    ) -> Result<i64, Fault> {
        if let Some(found) = self.connection.one(find, key, |row| number(row, 0)).await? {
            return Ok(found);
        }
        self.connection.later(insert, values).await?;
        let found = self.connection.one(find, key, |row| number(row, 0)).await?;
        Ok(found.expect("a name is there once it was inserted, and stays"))
    }
}
