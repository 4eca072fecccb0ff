//! Accepting requests: everything is looked for before anything is written, and what is in stock is handed over at once.

use std::collections::BTreeSet;

use rusqlite::params;
use serde_json::json;
use sixpack_model::ids::{LeaseId, LineId, RequestId, TreeId};
use sixpack_model::request::RequestStatus;
use sixpack_model::stock::RuleName;

use super::codes::Code;
use super::columns::{id, int, ms};
use super::events::EventRow;
use super::failures::failure_text;
use super::looking::Found;
use super::placing::Place;
use super::quotas::Taker;
use super::requests::{COLUMNS, find_key, read_request};
use super::statements::Statements;

use super::writer::Tx;
use super::writes::ChangeRow;
use crate::mutants::{self, Mutant};
use crate::requests::{Created, Filled, How, Idempotency, OverQuota, Served};
pub(super) use crate::stored::accepting::{NewRequestRow, UnitFillRow};
use crate::trees::RequestAfter;

impl Tx<'_> {
    /// Keeps a key, or says what it stands for already, and writes nothing.
    pub(super) fn keep_key(
        &self,
        idempotency: &Idempotency,
        request: RequestId,
    ) -> rusqlite::Result<Option<Created>> {
        if mutants::on(Mutant::KeyOfAnybody)
            && let Some(before) = find_key(self.connection, idempotency, self.now)?
        {
            return Ok(Some(before));
        }
        if self.insert_key(idempotency, request)? {
            self.split_for(Mutant::KeyInSecondTransaction)?;
            return Ok(None);
        }
        if let Some(before) = find_key(self.connection, idempotency, self.now)? {
            return Ok(Some(before));
        }
        // Its time is over and the sweep has not come by yet. The new row takes its place among the newest, so that the
        // oldest stay in front.
        self.drop_key(idempotency)?;
        let kept = self.insert_key(idempotency, request)?;
        debug_assert!(kept, "nothing else writes in this transaction");
        Ok(None)
    }

    fn drop_key(&self, idempotency: &Idempotency) -> rusqlite::Result<()> {
        let drop = "DELETE FROM idempotency WHERE token = ?1 AND key = ?2";
        let key = params![idempotency.token.0.as_bytes(), idempotency.key];
        self.connection.run(drop, key).map(|_| ())
    }

    /// Counts the leases that a request asks for; what refills stock asks for none.
    fn count_request(&mut self, new: &NewRequestRow) -> rusqlite::Result<Option<OverQuota>> {
        if new.line.is_some() {
            return Ok(None);
        }
        let request = &new.request;
        let environment = self.environment(&request.environment)?;
        let taker = Taker { token: request.token.0.into_bytes(), environment };
        self.take_places(taker, request.units.len(), new.quota)
    }

    /// Writes a key; false, and nothing written, when it is there.
    fn insert_key(&self, idempotency: &Idempotency, request: RequestId) -> rusqlite::Result<bool> {
        let rows = self.connection.run(
            "INSERT INTO idempotency (token, key, body, request, created_at) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT DO NOTHING",
            params![
                idempotency.token.0.as_bytes(),
                idempotency.key,
                idempotency.body,
                request.0.as_bytes(),
                self.now,
            ],
        )?;
        Ok(rows > 0)
    }

    /// Accepts a request: everything is looked for before anything is written.
    pub(super) fn accept(&mut self, new: &NewRequestRow) -> rusqlite::Result<Created> {
        let request = &new.request;
        let found = if new.wishes.is_empty() {
            Vec::new()
        } else {
            if let Some(idempotency) = &new.idempotency
                && let Some(before) = find_key(self.connection, idempotency, self.now)?
            {
                return Ok(before);
            }
            match self.find_in_stock(&new.wishes, new.looking, &BTreeSet::new())? {
                Some(found) => found,
                None => return Ok(Created::Short),
            }
        };
        if let Some(idempotency) = &new.idempotency
            && let Some(before) = self.keep_key(idempotency, request.id)?
        {
            return Ok(before);
        }
        if let Some(over) = self.count_request(new)? {
            if let Some(idempotency) = &new.idempotency {
                self.drop_key(idempotency)?;
            }
            return Ok(Created::OverQuota(over));
        }
        if !found.is_empty() && found.iter().all(|found| matches!(found, Found::Ready { .. })) {
            return self.accept_served(new, &found);
        }
        self.insert_request(new, None)?;
        self.tell(&new.event)?;
        let taken = self.take(request, 0, &found)?;
        let mut leases = None;
        let own =
            |change: &&ChangeRow| matches!(found.get(change.unit as usize), Some(Found::Own { .. }) | None);
        for change in new.trees.iter().filter(own) {
            self.insert_own(change, found.get(change.unit as usize))?;
        }
        for change in new.trees.iter().filter(own).filter(|change| change.settles()) {
            let from = change.inserted(Place::Request);
            if let RequestAfter::Fulfilled { leases: granted, .. } =
                self.write_request(change, from, &new.leases)?.after
            {
                leases = Some(granted);
            }
        }
        if taken.is_empty() {
            return Ok(Created::Accepted);
        }
        // What is ready counts, although nothing of the request has happened yet.
        if leases.is_none() && taken.iter().any(|taken| taken.how == How::Ready) {
            leases =
                self.count_ready(&request.environment, request.id, &new.leases)?.map(|(_, leases)| leases);
        }
        Ok(Created::Served(Served { taken, leases }))
    }

    /// Writes the tree that is made for a unit; it stands in line for one that is ready earlier, if there may be one.
    fn insert_own(&mut self, change: &ChangeRow, found: Option<&Found>) -> rusqlite::Result<()> {
        self.insert_tree(change)?;
        match found {
            Some(Found::Own { line: Some(line) }) if !change.settles() => {
                self.wait_in_line(change.tree, *line)
            }
            _ => Ok(()),
        }
    }

    /// Gives a unit a dataset that has none.
    pub(super) fn fill(&mut self, fill: &UnitFillRow) -> rusqlite::Result<Filled> {
        let key = params![fill.request.0.as_bytes(), fill.unit];
        let vacant = "SELECT 1 FROM unit_vacant WHERE request = ?1 AND unit = ?2";
        let is_vacant = self.connection.one(vacant, key, |_| Ok(()))?.is_some();
        let find = format!(
            "SELECT {COLUMNS} FROM request r JOIN environment e ON e.id = r.environment WHERE r.id = ?1"
        );
        let request = self.connection.one(&find, [fill.request.0.as_bytes()], read_request)?;
        let Some(request) = request.filter(|request| is_vacant && !request.has_ended()) else {
            return Ok(Filled::NotVacant);
        };
        let found = match &fill.wish {
            Some(_) => self.find_in_stock(std::slice::from_ref(&fill.wish), fill.looking, &fill.but)?,
            None => fill.tree.is_some().then(|| vec![Found::Own { line: None }]),
        };
        let Some(found) = found else { return Ok(Filled::Short) };
        let fill_it = "DELETE FROM unit_vacant WHERE request = ?1 AND unit = ?2";
        self.connection.run(fill_it, params![fill.request.0.as_bytes(), fill.unit])?;
        let taken = self.take(&request, fill.unit, &found)?;
        if taken.is_empty() {
            let change = fill.tree.as_ref().expect("what is not found is made");
            self.insert_own(change, found.first())?;
            if change.settles() {
                self.write_request(change, change.inserted(Place::Request), &fill.leases)?;
            }
            return Ok(Filled::Made);
        }
        let leases = self.count_ready(&request.environment, request.id, &fill.leases)?;
        Ok(Filled::Served(Served { taken, leases: leases.map(|(_, leases)| leases) }))
    }

    /// Accepts a request of which everything is in stock: it is fulfilled from the beginning.
    fn accept_served(&mut self, new: &NewRequestRow, found: &[Found]) -> rusqlite::Result<Created> {
        let request = &new.request;
        self.insert_request(new, Some(self.now))?;
        let served = self.take_all_leased(request, found, &new.leases)?;
        let data = json!({ "leases": new.leases.iter().map(LeaseId::to_string).collect::<Vec<_>>() });
        self.tell(&EventRow::told(
            self.now,
            &request.environment,
            "request.fulfilled",
            request.id,
            None,
            &data,
        ))?;
        Ok(Created::Served(served))
    }

    /// The line that an open request refills, and the tree that it makes for it.
    pub(super) fn refilled_by(&self, request: RequestId) -> rusqlite::Result<Option<(LineId, TreeId)>> {
        self.connection.one(
            "SELECT r.line, t.id FROM request r
             CROSS JOIN tree t INDEXED BY tree_by_request ON t.request = r.id AND t.place < 3
             WHERE r.id = ?1 AND r.line IS NOT NULL",
            [request.0.as_bytes()],
            |row| Ok((LineId(row.get(0)?), TreeId(id(row, 1)?))),
        )
    }

    /// Writes a request as it begins; one that is fulfilled from the beginning ends at `served_at`.
    fn insert_request(&mut self, new: &NewRequestRow, served_at: Option<i64>) -> rusqlite::Result<()> {
        let NewRequestRow { request, units, selection, line, .. } = new;
        let environment = self.environment(&request.environment)?;
        let first = request.units.first().expect("a request has at least one unit");
        let contract = self.contract(environment, &first.contract.to_string())?;
        self.connection.run(
            "INSERT INTO request (id, environment, contract, units, trees, listed, source, ttl_ms, holder, token,
                                  priority, channel, status, revision, ready, created_at, deadline_at, ended_at,
                                  failure, line, refills, selection, rerun_of)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21,
                     ?22, ?23)",
            params![
                request.id.0.as_bytes(),
                environment,
                contract,
                units,
                request.units.len() as i64,
                request.listed,
                request.source.code(),
                int(request.ttl_ms),
                request.holder,
                request.token.0.as_bytes(),
                request.priority.code(),
                request.channel,
                served_at.map_or(request.status, |_| RequestStatus::Fulfilled).code(),
                int(request.revision),
                served_at.map_or(request.ready, |_| request.units.len() as u32),
                ms(request.created_at),
                ms(request.deadline_at),
                served_at.or(request.ended_at.map(ms)),
                request.failure.as_ref().map(failure_text),
                line.map(|line| line.0),
                request.refills.as_ref().map(RuleName::as_str),
                selection,
                request.rerun_of.map(|tree| tree.0.into_bytes()),
            ],
        )?;
        Ok(())
    }
}
