//! Telling: what everything that runs has said and gone through, and what of it is kept.

use super::super::logs;
use super::Cluster;
use crate::proxy::Proxy;

impl Cluster {
    /// How often something that was on its way was hit.
    pub(crate) fn hits(&self) -> u64 {
        self.calls.iter().chain(&self.to_database).map(Proxy::hits).sum()
    }

    /// What all servers have logged in all their lives.
    pub(crate) fn log(&self) -> anyhow::Result<String> {
        self.servers.iter().map(|server| server.process.log()).collect()
    }

    /// What no program may say, of what all of them have said.
    pub(crate) fn alarms(&self) -> anyhow::Result<Vec<String>> {
        let mut alarms = logs::alarming("a server", &self.log()?, false);
        for supplier in &self.suppliers {
            alarms.extend(logs::alarming("a supplier", &supplier.process.log()?, false));
        }
        if let Some(database) = &self.database {
            alarms.extend(logs::alarming("PostgreSQL", &database.log()?, self.found_room > 0));
        }
        Ok(alarms)
    }

    /// How often a process was killed without warning.
    pub(crate) fn kills(&self) -> u32 {
        self.struck.iter().filter(|(strike, _)| strike.kills()).map(|(_, times)| times).sum()
    }

    /// Puts what the database has said beside what the servers have.
    pub(crate) fn keep_log_of_database(&self) -> anyhow::Result<()> {
        if let Some(database) = &self.database {
            std::fs::write(self.folder.join("postgres.log"), database.log()?)?;
        }
        Ok(())
    }

    /// Puts a store that lies on a disk of the trial's own where it stays.
    pub(crate) fn keep_store(&self) -> anyhow::Result<()> {
        self.disk.as_ref().map_or(Ok(()), |disk| disk.copy_to(&self.folder.join("store")))
    }
}
