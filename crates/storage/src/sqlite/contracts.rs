//! Contracts in SQLite.

use std::collections::HashMap;

use async_trait::async_trait;
use rusqlite::{Row, params};
use sixpack_model::event::Event;
use sixpack_model::ids::SessionId;

use sixpack_model::tree::PartStatus;

use super::SqliteStore;
use super::codes::Code;
use super::columns::{int, json, parsed, time_at, unsigned};
use super::events::EventRow;
use super::statements::Statements;
use super::stock_rules::rules_of;
use super::writer::Tx;
use crate::contracts::{
    Contracts, Definition, EnvironmentRow, InChannel, Left, Publication, Published, StandIn, StoredCatalogue,
    StoredContract,
};
use crate::error::StoreError;

const CAPABILITY: i64 = 0;
const SCENARIO: i64 = 1;

#[async_trait]
impl Contracts for SqliteStore {
    async fn environments(&self) -> Result<Vec<EnvironmentRow>, StoreError> {
        self.read("listing environments", |connection| {
            connection.all("SELECT name, created_at, revision FROM environment ORDER BY name", [], |row| {
                Ok(EnvironmentRow {
                    name: row.get(0)?,
                    created_at: time_at(row, 1)?,
                    revision: unsigned(row, 2)?,
                })
            })
        })
        .await
    }

    async fn catalogue(&self, environment: &str) -> Result<Option<StoredCatalogue>, StoreError> {
        let environment = environment.to_owned();
        self.read("reading a catalogue", move |connection| {
            let found = connection.one(
                "SELECT id, revision FROM environment WHERE name = ?1",
                [environment],
                |row| Ok((row.get::<_, i64>(0)?, unsigned(row, 1)?)),
            )?;
            let Some((environment, revision)) = found else {
                return Ok(None);
            };
            let rows = connection.all(
                "SELECT c.name, v.version, v.kind, v.definition, v.fingerprint, v.change, v.changes,
                        v.published_at, c.offered, v.channel, v.since, v.stands_in_for, c.offered_version
                 FROM contract c JOIN contract_version v ON v.contract = c.id
                 WHERE c.environment = ?1 ORDER BY c.name, v.version",
                [environment],
                |row| Ok((row.get::<_, bool>(8)?, row.get::<_, Option<u32>>(12)?, read_contract(row)?)),
            )?;
            let (mut contracts, mut withdrawn, mut in_channels) = (Vec::new(), Vec::new(), Vec::new());
            let mut on_offer = HashMap::new();
            for (offered, offered_version, contract) in rows {
                if offered && offered_version == Some(contract.version) {
                    on_offer.insert(contract.name.clone(), contract.version);
                }
                match (&contract.channel, offered) {
                    (Some(_), _) => in_channels.push(contract),
                    (None, true) => contracts.push(contract),
                    (None, false) => withdrawn.push(contract),
                }
            }
            let rules = rules_of(connection, environment)?;
            Ok(Some(StoredCatalogue { revision, contracts, withdrawn, on_offer, in_channels, rules }))
        })
        .await
    }

    async fn drifted(&self, environment: &str, contract: &str) -> Result<u64, StoreError> {
        let (environment, contract) = (environment.to_owned(), contract.to_owned());
        self.read("counting what has drifted", move |connection| {
            let found = connection.one(
                "SELECT c.drifted FROM contract c JOIN environment e ON e.id = c.environment
                 WHERE e.name = ?1 AND c.name = ?2",
                params![environment, contract],
                |row| unsigned(row, 0),
            )?;
            Ok(found.unwrap_or(0))
        })
        .await
    }

    async fn left_of(&self, environment: &str, contract: &str) -> Result<Left, StoreError> {
        let (environment, contract) = (environment.to_owned(), contract.to_owned());
        self.read("counting what there is of a contract", move |connection| {
            // By way of the trees that are not over: those that are may be millions.
            let found = connection.one(
                "SELECT count(*) FILTER (WHERE d.status <> ?3), count(*) FILTER (WHERE d.status = ?3)
                 FROM environment e JOIN contract c ON c.environment = e.id
                 CROSS JOIN tree t INDEXED BY tree_by_status CROSS JOIN dataset d ON d.tree = t.id
                 WHERE e.name = ?1 AND c.name = ?2 AND d.contract = c.id AND d.status NOT IN (?4, ?5, ?6)
                   AND t.status IN (?3, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
                params![
                    environment,
                    contract,
                    PartStatus::Debt.code(),
                    PartStatus::Gone.code(),
                    PartStatus::Failed.code(),
                    PartStatus::Skipped.code(),
                    PartStatus::Pending.code(),
                    PartStatus::Building.code(),
                    PartStatus::Checking.code(),
                    PartStatus::Ready.code(),
                    PartStatus::Leased.code(),
                    PartStatus::Suspect.code(),
                    PartStatus::Quarantined.code(),
                    PartStatus::Undoing.code(),
                ],
                |row| Ok(Left { datasets: unsigned(row, 0)?, debts: unsigned(row, 1)? }),
            )?;
            Ok(found.unwrap_or_default())
        })
        .await
    }

    async fn publish(
        &self,
        environment: &str,
        publication: Publication,
        events: Vec<Event>,
    ) -> Result<Published, StoreError> {
        let environment = environment.to_owned();
        let publication = PublicationRow::from(publication);
        let events: Vec<EventRow> = events.into_iter().map(EventRow::from).collect();
        self.write("publishing contracts", move |tx| {
            if tx.is_stale(&environment, &publication)? || tx.is_outrun(&environment, &publication, None)? {
                return Ok(Published::Stale);
            }
            let environment = tx.environment(&environment)?;
            let revision = tx.publish(environment, &publication)?;
            events.iter().try_for_each(|event| tx.tell(event))?;
            Ok(Published::Revision(revision))
        })
        .await
    }
}

/// A publication, turned into columns before the writer sees it.
pub(super) struct PublicationRow {
    expected_revision: i64,
    contracts: Vec<ContractRow>,
    withdrawn: Vec<String>,
    stand_ins: Vec<StandIn>,
    is_empty: bool,
}

struct ContractRow {
    name: String,
    version: u32,
    kind: i64,
    definition: String,
    fingerprint: String,
    change: String,
    changes: String,
    channel: Option<InChannel>,
}

impl PublicationRow {
    /// True when it leaves the catalogue as it is.
    pub(super) fn is_empty(&self) -> bool {
        self.contracts.is_empty() && self.withdrawn.is_empty()
    }
}

impl From<Publication> for PublicationRow {
    fn from(publication: Publication) -> Self {
        Self {
            is_empty: publication.is_empty(),
            expected_revision: int(publication.expected_revision),
            contracts: publication.contracts.into_iter().map(ContractRow::from).collect(),
            withdrawn: publication.withdrawn,
            stand_ins: publication.stand_ins,
        }
    }
}

impl From<StoredContract> for ContractRow {
    fn from(contract: StoredContract) -> Self {
        let (kind, definition) = match contract.definition {
            Definition::Capability(manifest) => (CAPABILITY, json(&manifest)),
            Definition::Scenario(text) => (SCENARIO, text),
        };
        Self {
            name: contract.name,
            version: contract.version,
            kind,
            definition,
            fingerprint: contract.fingerprint,
            change: contract.change,
            changes: json(&contract.changes),
            channel: contract.channel,
        }
    }
}

impl Tx<'_> {
    /// True when the catalogue has changed since the publication was decided upon.
    pub(super) fn is_stale(&self, environment: &str, publication: &PublicationRow) -> rusqlite::Result<bool> {
        let read = "SELECT revision FROM environment WHERE name = ?1";
        let revision: Option<i64> = self.connection.one(read, [environment], |row| row.get(0))?;
        Ok(revision.unwrap_or(0) != publication.expected_revision)
    }

    /// True when a live deployed session, other than the one that makes room for whoever publishes, performs a newer
    /// version than one that is to be on offer, or any version of what is to be withdrawn.
    pub(super) fn is_outrun(
        &self,
        environment: &str,
        publication: &PublicationRow,
        besides: Option<SessionId>,
    ) -> rusqlite::Result<bool> {
        let besides = besides.map(|session| session.0.into_bytes());
        let deployed = publication.contracts.iter().filter(|contract| contract.channel.is_none());
        let deployed = deployed.map(|contract| (&contract.name, contract.version));
        let withdrawn = publication.withdrawn.iter().map(|name| (name, 0));
        for (name, version) in deployed.chain(withdrawn) {
            let newer = self.connection.one(
                "SELECT 1 FROM environment e JOIN contract c ON c.environment = e.id
                 JOIN queue q ON q.contract = c.id AND q.channel = '' JOIN session_service s ON s.queue = q.id
                 WHERE e.name = ?1 AND c.name = ?2 AND s.version > ?3 AND (?4 IS NULL OR s.session <> ?4) LIMIT 1",
                params![environment, name, version, besides],
                |_| Ok(()),
            )?;
            if newer.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Publishes contracts; returns the revision of the catalogue, which an empty publication leaves as it is.
    pub(super) fn publish(
        &mut self,
        environment: i64,
        publication: &PublicationRow,
    ) -> rusqlite::Result<u64> {
        let revision = publication.expected_revision.unsigned_abs();
        if publication.is_empty {
            return Ok(revision);
        }
        for contract in &publication.contracts {
            let id = self.contract(environment, &contract.name)?;
            self.put_version(id, contract)?;
            match contract.channel {
                Some(_) => self.forget_versions(id, contract.version)?,
                None => {
                    let offer = "UPDATE contract SET offered = 1, offered_version = ?2 WHERE id = ?1";
                    self.connection.run(offer, params![id, contract.version])?;
                }
            }
        }
        for name in &publication.withdrawn {
            let withdraw = "UPDATE contract SET offered = 0 WHERE environment = ?1 AND name = ?2";
            self.connection.run(withdraw, params![environment, name])?;
        }
        for stand_in in &publication.stand_ins {
            let contract = self.contract(environment, &stand_in.contract)?;
            self.stand_in(contract, stand_in)?;
        }
        let grow = "UPDATE environment SET revision = revision + 1 WHERE id = ?1";
        self.connection.run(grow, [environment])?;
        Ok(revision + 1)
    }

    /// Writes one version; one that is there already keeps the time at which it was published.
    fn put_version(&self, id: i64, contract: &ContractRow) -> rusqlite::Result<()> {
        self.connection.run(
            "INSERT INTO contract_version (contract, version, kind, definition, fingerprint, change, changes,
                                           published_at, channel, since, stands_in_for)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
             ON CONFLICT DO UPDATE SET kind = excluded.kind, definition = excluded.definition,
                 fingerprint = excluded.fingerprint, change = excluded.change, changes = excluded.changes,
                 stands_in_for = excluded.stands_in_for",
            params![
                id,
                contract.version,
                contract.kind,
                contract.definition,
                contract.fingerprint,
                contract.change,
                contract.changes,
                self.now,
                contract.channel.as_ref().map(|channel| &channel.name),
                contract.channel.as_ref().map(|channel| channel.since),
                contract.channel.as_ref().and_then(|channel| channel.stands_in_for),
            ],
        )?;
        Ok(())
    }
}

fn read_contract(row: &Row<'_>) -> rusqlite::Result<StoredContract> {
    let kind: i64 = row.get(2)?;
    Ok(StoredContract {
        name: row.get(0)?,
        version: row.get(1)?,
        definition: match kind {
            CAPABILITY => Definition::Capability(parsed(row, 3)?),
            SCENARIO => Definition::Scenario(row.get(3)?),
            other => return Err(rusqlite::Error::IntegralValueOutOfRange(2, other)),
        },
        fingerprint: row.get(4)?,
        change: row.get(5)?,
        changes: parsed(row, 6)?,
        channel: match row.get(9)? {
            Some(name) => Some(InChannel { name, since: row.get(10)?, stands_in_for: row.get(11)? }),
            None => None,
        },
        published_at: time_at(row, 7)?,
    })
}
