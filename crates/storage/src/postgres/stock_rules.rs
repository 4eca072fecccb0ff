//! Stock rules in PostgreSQL. Their changes are those of a catalogue: they are made under the lock of its environment.

use std::sync::Arc;

use async_trait::async_trait;
use sixpack_model::event::Event;
use sixpack_model::limits::STOCK_RULES;
use sixpack_model::stock::{RuleEdit, RuleName, StockRule, Window};
use tokio_postgres::Row;

use super::PostgresStore;
use super::columns::{
    Int, code, get, int, json, named, number, number_of, number_of_code, parsed, time, time_at,
};
use super::contracts::PublicationRow;
use super::events::EventRow;
use super::faults::Fault;
use super::statements::Connection;
use super::writer::Tx;
use crate::contracts::Publication;
use crate::error::StoreError;
use crate::page::Page;
use crate::stock_rules::{Deleted, Edited, Put, PutRules, RuleWrite, StockRules, StoredRule};

#[async_trait]
impl StockRules for PostgresStore {
    async fn put_rules(
        &self,
        environment: &str,
        publication: Publication,
        rules: Vec<RuleWrite>,
        events: Vec<Event>,
    ) -> Result<PutRules, StoreError> {
        let input = PutRow {
            environment: environment.to_owned(),
            publication: PublicationRow::from(publication),
            rules: rules.into_iter().map(WriteRow::from).collect(),
            events: events.into_iter().map(EventRow::from).collect(),
        };
        self.write("putting stock rules", input, |tx, put| Box::pin(tx.put_rules(put))).await
    }

    async fn rule(&self, environment: &str, name: &RuleName) -> Result<Option<StoredRule>, StoreError> {
        let input = (environment.to_owned(), name.clone());
        self.read("reading a stock rule", input, |connection, (environment, name)| {
            Box::pin(rule_by_name(connection, environment, name))
        })
        .await
    }

    async fn rules(&self, environment: &str, page: Page<RuleName>) -> Result<Vec<StoredRule>, StoreError> {
        self.read("listing stock rules", (environment.to_owned(), page), |connection, (environment, page)| {
            Box::pin(async move {
                let after = page.after.as_ref().map_or("", RuleName::as_str);
                let list = format!("{SELECT} WHERE e.name = $1 AND r.name > $2 ORDER BY r.name LIMIT $3");
                connection.all(&list, &[environment, &after, &Int::from(page.limit)], read_rule).await
            })
        })
        .await
    }

    async fn edit_rule(
        &self,
        environment: &str,
        name: &RuleName,
        expected: u64,
        edit: RuleEdit,
        event: Event,
    ) -> Result<Edited, StoreError> {
        let input = (environment.to_owned(), name.clone(), expected, edit, EventRow::from(event));
        self.write("editing a stock rule", input, |tx, (environment, name, expected, edit, event)| {
            Box::pin(async move {
                tx.lock_environment(environment).await?;
                let Some(before) = rule_by_name(&tx.connection, environment, name).await? else {
                    return tx.refuse(Edited::Unknown);
                };
                if before.revision != *expected {
                    return tx.refuse(Edited::Stale(before.revision));
                }
                let rule = before.rule.edited(*edit);
                if rule == before.rule {
                    return Ok(Edited::Rule(Box::new(before)));
                }
                let environment = tx.environment(environment).await?;
                let revision = tx.next_revision(environment).await?;
                tx.put_rule(environment, &rule, revision).await?;
                tx.tell(event);
                let edited = StoredRule { rule, revision, changed_at: time(tx.now), ..before };
                Ok(Edited::Rule(Box::new(edited)))
            })
        })
        .await
    }

    async fn delete_rule(
        &self,
        environment: &str,
        name: &RuleName,
        expected: u64,
        event: Event,
    ) -> Result<Deleted, StoreError> {
        let input = (environment.to_owned(), name.clone(), expected, EventRow::from(event));
        self.write("deleting a stock rule", input, |tx, (environment, name, expected, event)| {
            Box::pin(async move {
                tx.lock_environment(environment).await?;
                let Some(before) = rule_by_name(&tx.connection, environment, name).await? else {
                    return tx.refuse(Deleted::Unknown);
                };
                if before.revision != *expected {
                    return tx.refuse(Deleted::Stale(before.revision));
                }
                let environment = tx.environment(environment).await?;
                tx.next_revision(environment).await?;
                let delete = "DELETE FROM stock_rule WHERE environment = $1 AND name = $2";
                tx.connection.later(delete, &[&environment, &name.as_str()]).await?;
                tx.tell(event);
                Ok(Deleted::Gone)
            })
        })
        .await
    }
}

/// Rules to be put, turned into columns before the transaction begins.
struct PutRow {
    environment: String,
    publication: PublicationRow,
    rules: Vec<WriteRow>,
    events: Vec<EventRow>,
}

/// A rule to be put, with its event.
struct WriteRow {
    rule: StockRule,
    expected: Option<u64>,
    event: EventRow,
}

impl From<RuleWrite> for WriteRow {
    fn from(write: RuleWrite) -> Self {
        Self { rule: write.rule, expected: write.expected, event: EventRow::from(write.event) }
    }
}

impl Tx {
    async fn put_rules(&mut self, put: &PutRow) -> Result<PutRules, Fault> {
        let PutRow { environment, publication, rules, events } = put;
        if self.is_stale(environment, publication).await? {
            return self.refuse(PutRules::Stale);
        }
        let before = match self.rules_before(environment, rules).await? {
            Ok(before) => before,
            Err(refused) => return self.refuse(refused),
        };
        let environment = self.environment(environment).await?;
        let mut revision = self.publish(environment, publication).await?;
        for event in events {
            self.tell(event);
        }
        let changes = |write: &WriteRow, before: &Option<StoredRule>| {
            before.as_ref().is_none_or(|before| before.rule != write.rule)
        };
        if publication.is_empty() && rules.iter().zip(&before).any(|(write, before)| changes(write, before)) {
            revision = self.next_revision(environment).await?;
        }
        let mut put = Vec::with_capacity(rules.len());
        for (write, before) in rules.iter().zip(&before) {
            put.push(match before {
                Some(before) if before.rule == write.rule => Put::Same(before.revision),
                before => {
                    self.put_rule(environment, &write.rule, revision).await?;
                    self.tell(&write.event);
                    if before.is_some() { Put::Changed(revision) } else { Put::Created(revision) }
                }
            });
        }
        Ok(PutRules::Put(put))
    }

    /// Keeps everybody else from changing the catalogue of an environment, if there is one.
    async fn lock_environment(&self, environment: &str) -> Result<(), Fault> {
        let lock = "SELECT 1 FROM environment WHERE name = $1 FOR NO KEY UPDATE";
        self.connection.one(lock, &[&environment], |_| Ok(())).await.map(|_| ())
    }

    /// The rules that are there under the names of those to be put, or why these cannot be.
    async fn rules_before(
        &self,
        environment: &str,
        rules: &[WriteRow],
    ) -> Result<Result<Vec<Option<StoredRule>>, PutRules>, Fault> {
        let mut found = Vec::with_capacity(rules.len());
        for write in rules {
            let before = rule_by_name(&self.connection, environment, &write.rule.name).await?;
            let current = before.as_ref().map_or(0, |before| before.revision);
            if write.expected.is_some_and(|expected| expected != current) {
                return Ok(Err(PutRules::RuleStale(write.rule.name.clone(), current)));
            }
            found.push(before);
        }
        let count =
            "SELECT count(*) FROM stock_rule r JOIN environment e ON e.id = r.environment WHERE e.name = $1";
        let there: usize =
            self.connection.one(count, &[&environment], |row| number(row, 0)).await?.unwrap_or(0);
        let new = found.iter().filter(|before| before.is_none()).count();
        // Rules that were too many before can still be changed.
        Ok(if new > 0 && there + new > STOCK_RULES { Err(PutRules::TooMany) } else { Ok(found) })
    }

    /// Makes a new revision of the catalogue.
    async fn next_revision(&self, environment: i64) -> Result<u64, Fault> {
        let grow = "UPDATE environment SET revision = revision + 1 WHERE id = $1 RETURNING revision";
        let revision = self.connection.one(grow, &[&environment], |row| number(row, 0)).await?;
        Ok(revision.expect("an environment that has a number is there"))
    }

    /// Writes a rule; one that is there keeps the time at which it was made.
    async fn put_rule(&mut self, environment: i64, rule: &StockRule, revision: u64) -> Result<(), Fault> {
        let contract = self.contract(environment, &rule.contract.to_string()).await?;
        let window = rule.window.as_ref();
        let put = "INSERT INTO stock_rule (environment, name, contract, input, target, max_age_s, check_every_s, priority,
                                           state, window_opens, window_for_s, window_time_zone, revision, created_at,
                                           changed_at)
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $14)
                   ON CONFLICT (environment, name) DO UPDATE SET contract = excluded.contract, input = excluded.input,
                       target = excluded.target, max_age_s = excluded.max_age_s,
                       check_every_s = excluded.check_every_s, priority = excluded.priority, state = excluded.state,
                       window_opens = excluded.window_opens, window_for_s = excluded.window_for_s,
                       window_time_zone = excluded.window_time_zone, revision = excluded.revision,
                       changed_at = excluded.changed_at";
        self.connection
            .later(
                put,
                &[
                    &environment,
                    &rule.name.as_str(),
                    &contract,
                    &json(&rule.input),
                    &Int::from(rule.target),
                    &rule.max_age_s.map(Int::from),
                    &rule.check_every_s.map(Int::from),
                    &Int(rule.priority.into()),
                    &number_of_code(rule.state),
                    &window.map(Window::opens),
                    &window.map(Window::for_s).map(Int::from),
                    &window.map(Window::time_zone),
                    &int(revision),
                    &self.now,
                ],
            )
            .await
    }
}

const SELECT: &str =
    "SELECT r.name, c.name, r.input, r.target, r.max_age_s, r.check_every_s, r.priority, r.state,
           r.window_opens, r.window_for_s, r.window_time_zone, r.revision, r.created_at, r.changed_at
    FROM environment e JOIN stock_rule r ON r.environment = e.id JOIN contract c ON c.id = r.contract";

/// All rules of an environment, by name.
pub(super) async fn rules_of(connection: &Connection, environment: i64) -> Result<Vec<StoredRule>, Fault> {
    connection.all(&format!("{SELECT} WHERE e.id = $1 ORDER BY r.name"), &[&environment], read_rule).await
}

async fn rule_by_name(
    connection: &Connection,
    environment: &str,
    name: &RuleName,
) -> Result<Option<StoredRule>, Fault> {
    let find = format!("{SELECT} WHERE e.name = $1 AND r.name = $2");
    connection.one(&find, &[&environment, &name.as_str()], read_rule).await
}

fn read_rule(row: &Row) -> Result<StoredRule, Fault> {
    let window = match get::<Option<String>>(row, 8)? {
        Some(opens) => Some(Window::new(opens, number(row, 9)?, get::<String>(row, 10)?)),
        None => None,
    };
    let rule = StockRule {
        name: named(row, 0)?,
        contract: named(row, 1)?,
        input: Arc::new(parsed(row, 2)?),
        target: number(row, 3)?,
        max_age_s: number_of(row, 4)?,
        check_every_s: number_of(row, 5)?,
        priority: number(row, 6)?,
        state: code(row, 7)?,
        window,
    };
    let (revision, created_at, changed_at) = (number(row, 11)?, time_at(row, 12)?, time_at(row, 13)?);
    Ok(StoredRule { rule, revision, created_at, changed_at })
}
