//! Contracts in PostgreSQL.

use std::collections::HashMap;

use async_trait::async_trait;
use sixpack_model::event::Event;
use sixpack_model::ids::SessionId;
use sixpack_model::tree::PartStatus;
use tokio_postgres::Row;

use super::PostgresStore;
use super::columns::{Int, get, int, json, number, number_of, number_of_code, parsed, time_at, unreadable};
use super::events::EventRow;
use super::faults::Fault;
use super::stock_rules::rules_of;
use super::writer::Tx;
use crate::contracts::{
    Contracts, Definition, EnvironmentRow, InChannel, Left, Publication, Published, StandIn, StoredCatalogue,
    StoredContract,
};
use crate::error::StoreError;
use crate::stored::codes::Code;
use crate::stored::places::is_over;

const CAPABILITY: i64 = 0;
const SCENARIO: i64 = 1;

#[async_trait]
impl Contracts for PostgresStore {
    async fn environments(&self) -> Result<Vec<EnvironmentRow>, StoreError> {
        self.read("listing environments", (), |connection, ()| {
            Box::pin(async move {
                let list = "SELECT name, created_at, revision FROM environment ORDER BY name";
                let read = |row: &Row| {
                    let (created_at, revision) = (time_at(row, 1)?, number(row, 2)?);
                    Ok(EnvironmentRow { name: get(row, 0)?, created_at, revision })
                };
                connection.all(list, &[], read).await
            })
        })
        .await
    }

    async fn catalogue(&self, environment: &str) -> Result<Option<StoredCatalogue>, StoreError> {
        self.read_at_once("reading a catalogue", environment.to_owned(), |connection, environment| {
            Box::pin(async move {
                let find = "SELECT id, revision FROM environment WHERE name = $1";
                let read = |row: &Row| Ok((get::<i64>(row, 0)?, number(row, 1)?));
                let Some((environment, revision)) = connection.one(find, &[environment], read).await? else {
                    return Ok(None);
                };
                let list =
                    "SELECT c.name, v.version, v.kind, v.definition, v.fingerprint, v.change, v.changes,
                                   v.published_at, c.offered, v.channel, v.since, v.stands_in_for,
                                   c.offered_version
                            FROM contract c JOIN contract_version v ON v.contract = c.id
                            WHERE c.environment = $1 ORDER BY c.name, v.version";
                let read =
                    |row: &Row| Ok((get::<bool>(row, 8)?, number_of::<u32>(row, 12)?, read_contract(row)?));
                let rows = connection.all(list, &[&environment], read).await?;
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
                let rules = rules_of(connection, environment).await?;
                Ok(Some(StoredCatalogue { revision, contracts, withdrawn, on_offer, in_channels, rules }))
            })
        })
        .await
    }

    async fn drifted(&self, environment: &str, contract: &str) -> Result<u64, StoreError> {
        let input = (environment.to_owned(), contract.to_owned());
        self.read("counting what has drifted", input, |connection, (environment, contract)| {
            Box::pin(async move {
                let find = "SELECT c.drifted FROM contract c JOIN environment e ON e.id = c.environment
                            WHERE e.name = $1 AND c.name = $2";
                let found = connection.one(find, &[environment, contract], |row| number(row, 0)).await?;
                Ok(found.unwrap_or(0))
            })
        })
        .await
    }

    async fn left_of(&self, environment: &str, contract: &str) -> Result<Left, StoreError> {
        let input = (environment.to_owned(), contract.to_owned());
        self.read("counting what there is of a contract", input, |connection, (environment, contract)| {
            Box::pin(async move {
                // By way of the trees that are not over: those that are may be millions.
                let count =
                    "SELECT count(*) FILTER (WHERE d.status <> $3), count(*) FILTER (WHERE d.status = $3)
                             FROM unnest($4::bigint[]) AS s (status)
                             JOIN tree t ON t.status = s.status::smallint JOIN dataset d ON d.tree = t.id
                             JOIN contract c ON c.id = d.contract JOIN environment e ON e.id = c.environment
                             WHERE e.name = $1 AND c.name = $2 AND d.status <> ALL ($5::bigint[])";
                let debt = number_of_code(PartStatus::Debt);
                let (over, open): (Vec<PartStatus>, Vec<PartStatus>) = PartStatus::ALL
                    .into_iter()
                    .map(|(status, _)| status)
                    .partition(|status| is_over(*status));
                let codes =
                    |statuses: Vec<PartStatus>| statuses.into_iter().map(Code::code).collect::<Vec<i64>>();
                let (over, open) = (codes(over), codes(open));
                let read = |row: &Row| Ok(Left { datasets: number(row, 0)?, debts: number(row, 1)? });
                let left = connection.one(count, &[environment, contract, &debt, &open, &over], read).await?;
                Ok(left.expect("a count gives a row"))
            })
        })
        .await
    }

    async fn publish(
        &self,
        environment: &str,
        publication: Publication,
        events: Vec<Event>,
    ) -> Result<Published, StoreError> {
        let events: Vec<EventRow> = events.into_iter().map(EventRow::from).collect();
        let input = (environment.to_owned(), PublicationRow::from(publication), events);
        self.write("publishing contracts", input, |tx, (environment, publication, events)| {
            Box::pin(async move {
                if tx.is_stale(environment, publication).await?
                    || tx.is_outrun(environment, publication, None).await?
                {
                    return tx.refuse(Published::Stale);
                }
                let environment = tx.environment(environment).await?;
                let revision = tx.publish(environment, publication).await?;
                for event in events {
                    tx.tell(event);
                }
                Ok(Published::Revision(revision))
            })
        })
        .await
    }
}

/// A publication, turned into columns before the transaction begins.
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
        let is_empty = publication.is_empty();
        let mut contracts: Vec<_> = publication.contracts.into_iter().map(ContractRow::from).collect();
        // Names are made, and rows are locked, in one order. Versions of one name stay as they are told: the last is on offer.
        contracts.sort_by(|one, other| one.name.cmp(&other.name));
        let expected_revision = int(publication.expected_revision);
        Self {
            expected_revision,
            contracts,
            withdrawn: publication.withdrawn,
            stand_ins: publication.stand_ins,
            is_empty,
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

impl Tx {
    /// True when the catalogue has changed since the publication was decided upon. Otherwise it is locked, so that it does not
    /// change before this transaction ends.
    pub(super) async fn is_stale(
        &mut self,
        environment: &str,
        publication: &PublicationRow,
    ) -> Result<bool, Fault> {
        let lock = "SELECT revision FROM environment WHERE name = $1 FOR NO KEY UPDATE";
        let revision: Option<i64> = self.connection.one(lock, &[&environment], |row| get(row, 0)).await?;
        if let Some(revision) = revision {
            return Ok(revision != publication.expected_revision);
        }
        if publication.expected_revision != 0 {
            return Ok(true);
        }
        // Somebody else may have made it and published at the same moment.
        self.environment(environment).await?;
        let revision: Option<i64> = self.connection.one(lock, &[&environment], |row| get(row, 0)).await?;
        Ok(revision != Some(0))
    }

    /// True when a live deployed session, other than the one that makes room for whoever publishes, performs a newer
    /// version than one that is to be on offer, or any version of what is to be withdrawn.
    ///
    /// The environment is locked, so that no other session begins to perform anything meanwhile. One that leaves is not waited
    /// for: as long as it is seen, whoever publishes decides anew.
    pub(super) async fn is_outrun(
        &self,
        environment: &str,
        publication: &PublicationRow,
        besides: Option<SessionId>,
    ) -> Result<bool, Fault> {
        let deployed = publication.contracts.iter().filter(|contract| contract.channel.is_none());
        let deployed = deployed.map(|contract| (contract.name.as_str(), i64::from(contract.version)));
        let withdrawn = publication.withdrawn.iter().map(|name| (name.as_str(), 0));
        let (names, versions): (Vec<&str>, Vec<i64>) = deployed.chain(withdrawn).unzip();
        if names.is_empty() {
            return Ok(false);
        }
        let find = "SELECT 1 FROM unnest($2::text[], $3::bigint[]) AS p (name, version)
                    JOIN environment e ON e.name = $1
                    JOIN contract c ON c.environment = e.id AND c.name = p.name
                    JOIN queue q ON q.contract = c.id AND q.channel = '' JOIN session_service s ON s.queue = q.id
                    WHERE s.version > p.version AND s.session IS DISTINCT FROM $4 LIMIT 1";
        let besides = besides.map(|session| session.0);
        let newer =
            self.connection.one(find, &[&environment, &names, &versions, &besides], |_| Ok(())).await?;
        Ok(newer.is_some())
    }

    /// Publishes contracts; returns the revision of the catalogue, which an empty publication leaves as it is.
    pub(super) async fn publish(
        &mut self,
        environment: i64,
        publication: &PublicationRow,
    ) -> Result<u64, Fault> {
        let revision = publication.expected_revision.unsigned_abs();
        if publication.is_empty {
            return Ok(revision);
        }
        for contract in &publication.contracts {
            let id = self.contract(environment, &contract.name).await?;
            self.put_version(id, contract).await?;
            match contract.channel {
                Some(_) => self.forget_versions(id, contract.version).await?,
                None => {
                    let offer = "UPDATE contract SET offered = true, offered_version = $2 WHERE id = $1";
                    self.connection.later(offer, &[&id, &Int::from(contract.version)]).await?;
                }
            }
        }
        let withdraw = "UPDATE contract SET offered = false WHERE environment = $1 AND name = ANY ($2)";
        self.connection.later(withdraw, &[&environment, &publication.withdrawn]).await?;
        for stand_in in &publication.stand_ins {
            let contract = self.contract(environment, &stand_in.contract).await?;
            self.stand_in(contract, stand_in).await?;
        }
        let grow = "UPDATE environment SET revision = revision + 1 WHERE id = $1";
        self.connection.later(grow, &[&environment]).await?;
        Ok(revision + 1)
    }

    /// Writes one version; one that is there already keeps the time at which it was published.
    async fn put_version(&self, id: i64, contract: &ContractRow) -> Result<(), Fault> {
        let channel = contract.channel.as_ref();
        let put = "INSERT INTO contract_version (contract, version, kind, definition, fingerprint, change, changes,
                                                 published_at, channel, since, stands_in_for)
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
                   ON CONFLICT (contract, version) DO UPDATE SET kind = excluded.kind,
                       definition = excluded.definition, fingerprint = excluded.fingerprint,
                       change = excluded.change, changes = excluded.changes, stands_in_for = excluded.stands_in_for";
        self.connection
            .later(
                put,
                &[
                    &id,
                    &Int::from(contract.version),
                    &Int(contract.kind),
                    &contract.definition,
                    &contract.fingerprint,
                    &contract.change,
                    &contract.changes,
                    &self.now,
                    &channel.map(|channel| &channel.name),
                    &channel.map(|channel| Int::from(channel.since)),
                    &channel.and_then(|channel| channel.stands_in_for).map(Int::from),
                ],
            )
            .await
    }
}

fn read_contract(row: &Row) -> Result<StoredContract, Fault> {
    Ok(StoredContract {
        name: get(row, 0)?,
        version: number(row, 1)?,
        definition: match number(row, 2)? {
            CAPABILITY => Definition::Capability(parsed(row, 3)?),
            SCENARIO => Definition::Scenario(get(row, 3)?),
            other => return Err(unreadable(2, format!("{other} is no kind of contract"))),
        },
        fingerprint: get(row, 4)?,
        change: get(row, 5)?,
        changes: parsed(row, 6)?,
        channel: match get(row, 9)? {
            Some(name) => {
                Some(InChannel { name, since: number(row, 10)?, stands_in_for: number_of(row, 11)? })
            }
            None => None,
        },
        published_at: time_at(row, 7)?,
    })
}
