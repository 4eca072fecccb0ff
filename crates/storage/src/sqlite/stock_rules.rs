//! Stock rules in SQLite.

use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::{Connection, Row, params};
use sixpack_model::event::Event;
use sixpack_model::limits::STOCK_RULES;
use sixpack_model::stock::{RuleEdit, RuleName, StockRule, Window};

use super::SqliteStore;
use super::codes::Code;
use super::columns::{code, int, json, name, parsed, time, time_at, unreadable, unsigned};
use super::contracts::PublicationRow;
use super::events::EventRow;
use super::statements::Statements;
use super::writer::Tx;
use crate::contracts::Publication;
use crate::error::StoreError;
use crate::page::Page;
use crate::stock_rules::{Deleted, Edited, Put, PutRules, RuleWrite, StockRules, StoredRule};

#[async_trait]
impl StockRules for SqliteStore {
    async fn put_rules(
        &self,
        environment: &str,
        publication: Publication,
        rules: Vec<RuleWrite>,
        events: Vec<Event>,
    ) -> Result<PutRules, StoreError> {
        let environment = environment.to_owned();
        let publication = PublicationRow::from(publication);
        let events: Vec<EventRow> = events.into_iter().map(EventRow::from).collect();
        let rules: Vec<WriteRow> = rules.into_iter().map(WriteRow::from).collect();
        self.write("putting stock rules", move |tx| {
            if tx.is_stale(&environment, &publication)? {
                return Ok(PutRules::Stale);
            }
            let before = match tx.rules_before(&environment, &rules)? {
                Ok(before) => before,
                Err(refused) => return Ok(refused),
            };
            let environment = tx.environment(&environment)?;
            let mut revision = tx.publish(environment, &publication)?;
            events.iter().try_for_each(|event| tx.tell(event))?;
            let changes = |write: &WriteRow, before: &Option<StoredRule>| {
                before.as_ref().is_none_or(|before| before.rule != write.rule)
            };
            if publication.is_empty()
                && rules.iter().zip(&before).any(|(write, before)| changes(write, before))
            {
                revision = tx.next_revision(environment)?;
            }
            let mut put = Vec::with_capacity(rules.len());
            for (write, before) in rules.iter().zip(&before) {
                put.push(match before {
                    Some(before) if before.rule == write.rule => Put::Same(before.revision),
                    before => {
                        tx.put_rule(environment, &write.rule, revision)?;
                        tx.tell(&write.event)?;
                        if before.is_some() { Put::Changed(revision) } else { Put::Created(revision) }
                    }
                });
            }
            Ok(PutRules::Put(put))
        })
        .await
    }

    async fn rule(&self, environment: &str, name: &RuleName) -> Result<Option<StoredRule>, StoreError> {
        let (environment, name) = (environment.to_owned(), name.clone());
        self.read("reading a stock rule", move |connection| rule_by_name(connection, &environment, &name))
            .await
    }

    async fn rules(&self, environment: &str, page: Page<RuleName>) -> Result<Vec<StoredRule>, StoreError> {
        let environment = environment.to_owned();
        self.read("listing stock rules", move |connection| {
            let after = page.after.as_ref().map_or("", RuleName::as_str);
            let list = format!("{SELECT} WHERE e.name = ?1 AND r.name > ?2 ORDER BY r.name LIMIT ?3");
            connection.all(&list, params![environment, after, page.limit], read_rule)
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
        let (environment, name, event) = (environment.to_owned(), name.clone(), EventRow::from(event));
        self.write("editing a stock rule", move |tx| {
            let Some(before) = rule_by_name(tx.connection, &environment, &name)? else {
                return Ok(Edited::Unknown);
            };
            if before.revision != expected {
                return Ok(Edited::Stale(before.revision));
            }
            let rule = before.rule.edited(edit);
            if rule == before.rule {
                return Ok(Edited::Rule(Box::new(before)));
            }
            let environment = tx.environment(&environment)?;
            let revision = tx.next_revision(environment)?;
            tx.put_rule(environment, &rule, revision)?;
            tx.tell(&event)?;
            let edited = StoredRule { rule, revision, changed_at: time(tx.now), ..before };
            Ok(Edited::Rule(Box::new(edited)))
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
        let (environment, name, event) = (environment.to_owned(), name.clone(), EventRow::from(event));
        self.write("deleting a stock rule", move |tx| {
            let Some(before) = rule_by_name(tx.connection, &environment, &name)? else {
                return Ok(Deleted::Unknown);
            };
            if before.revision != expected {
                return Ok(Deleted::Stale(before.revision));
            }
            let environment = tx.environment(&environment)?;
            tx.next_revision(environment)?;
            let delete = "DELETE FROM stock_rule WHERE environment = ?1 AND name = ?2";
            tx.connection.run(delete, params![environment, name.as_str()])?;
            tx.tell(&event)?;
            Ok(Deleted::Gone)
        })
        .await
    }
}

/// A rule to be put, with its event turned into columns before the writer sees it.
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

impl Tx<'_> {
    /// The rules that are there under the names of those to be put, or why these cannot be.
    fn rules_before(
        &self,
        environment: &str,
        rules: &[WriteRow],
    ) -> rusqlite::Result<Result<Vec<Option<StoredRule>>, PutRules>> {
        let mut found = Vec::with_capacity(rules.len());
        for write in rules {
            let before = rule_by_name(self.connection, environment, &write.rule.name)?;
            let current = before.as_ref().map_or(0, |before| before.revision);
            if write.expected.is_some_and(|expected| expected != current) {
                return Ok(Err(PutRules::RuleStale(write.rule.name.clone(), current)));
            }
            found.push(before);
        }
        let count =
            "SELECT count(*) FROM stock_rule r JOIN environment e ON e.id = r.environment WHERE e.name = ?1";
        let there: u32 = self.connection.one(count, [environment], |row| row.get(0))?.unwrap_or(0);
        let new = found.iter().filter(|before| before.is_none()).count();
        // Rules that were too many before can still be changed.
        Ok(if new > 0 && there as usize + new > STOCK_RULES { Err(PutRules::TooMany) } else { Ok(found) })
    }

    /// Makes a new revision of the catalogue.
    fn next_revision(&self, environment: i64) -> rusqlite::Result<u64> {
        self.connection.run("UPDATE environment SET revision = revision + 1 WHERE id = ?1", [environment])?;
        self.connection
            .prepare_cached("SELECT revision FROM environment WHERE id = ?1")?
            .query_row([environment], |row| unsigned(row, 0))
    }

    /// Writes a rule; one that is there keeps the time at which it was made.
    fn put_rule(&mut self, environment: i64, rule: &StockRule, revision: u64) -> rusqlite::Result<()> {
        let contract = self.contract(environment, &rule.contract.to_string())?;
        self.connection.run(
            "INSERT INTO stock_rule (environment, name, contract, input, target, max_age_s, check_every_s, priority,
                                     state, window_opens, window_for_s, window_time_zone, revision, created_at,
                                     changed_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?14)
             ON CONFLICT DO UPDATE SET contract = excluded.contract, input = excluded.input,
                 target = excluded.target, max_age_s = excluded.max_age_s, check_every_s = excluded.check_every_s,
                 priority = excluded.priority, state = excluded.state, window_opens = excluded.window_opens,
                 window_for_s = excluded.window_for_s, window_time_zone = excluded.window_time_zone,
                 revision = excluded.revision, changed_at = excluded.changed_at",
            params![
                environment,
                rule.name.as_str(),
                contract,
                json(&rule.input),
                rule.target,
                rule.max_age_s,
                rule.check_every_s,
                rule.priority,
                rule.state.code(),
                rule.window.as_ref().map(Window::opens),
                rule.window.as_ref().map(Window::for_s),
                rule.window.as_ref().map(Window::time_zone),
                int(revision),
                self.now,
            ],
        )?;
        Ok(())
    }
}

const SELECT: &str =
    "SELECT r.name, c.name, r.input, r.target, r.max_age_s, r.check_every_s, r.priority, r.state,
           r.window_opens, r.window_for_s, r.window_time_zone, r.revision, r.created_at, r.changed_at
    FROM environment e JOIN stock_rule r ON r.environment = e.id JOIN contract c ON c.id = r.contract";

/// All rules of an environment, by name.
pub(super) fn rules_of(connection: &Connection, environment: i64) -> rusqlite::Result<Vec<StoredRule>> {
    connection.all(&format!("{SELECT} WHERE e.id = ?1 ORDER BY r.name"), [environment], read_rule)
}

fn rule_by_name(
    connection: &Connection,
    environment: &str,
    name: &RuleName,
) -> rusqlite::Result<Option<StoredRule>> {
    let find = format!("{SELECT} WHERE e.name = ?1 AND r.name = ?2");
    connection.one(&find, params![environment, name.as_str()], read_rule)
}

fn read_rule(row: &Row<'_>) -> rusqlite::Result<StoredRule> {
    let text: String = row.get(0)?;
    let opens: Option<String> = row.get(8)?;
    let window = match opens {
        Some(opens) => Some(Window::new(opens, row.get(9)?, row.get::<_, String>(10)?)),
        None => None,
    };
    let rule = StockRule {
        name: text.parse().map_err(|cause| unreadable(0, cause))?,
        contract: name(row, 1)?,
        input: Arc::new(parsed(row, 2)?),
        target: row.get(3)?,
        max_age_s: row.get(4)?,
        check_every_s: row.get(5)?,
        priority: row.get(6)?,
        state: code(row, 7)?,
        window,
    };
    let (revision, created_at, changed_at) = (unsigned(row, 11)?, time_at(row, 12)?, time_at(row, 13)?);
    Ok(StoredRule { rule, revision, created_at, changed_at })
}
