//! Accepting requests: everything is looked for before anything is written, and what is in stock is handed over at once.
//!
//! A key is kept first: of two requests with one key the second waits for the first there, and is then answered with it. Places
//! are taken last. Whatever is refused on the way leaves nothing.

use std::collections::BTreeSet;
use std::hash::Hash;

use serde_json::json;
use sixpack_model::ids::{LeaseId, LineId, RequestId, TreeId};
use sixpack_model::request::{Request, RequestStatus};
use sixpack_model::stock::RuleName;
use tokio_postgres::Row;

use super::columns::{id, int, ms, number};
use super::faults::Fault;
use super::limits::KEY_MS;
use super::quotas::Taker;
use super::requests::{COLUMNS, find_key, read_request};
use super::taking::Handed;
use super::together::Shared;
use super::writer::{Doing, Tx};
use crate::mutants::{self, Mutant};
use crate::requests::{Created, Filled, How, Idempotency, OverQuota, Served};
use crate::stored::accepting::{Found, NewRequestRow, UnitFillRow};
use crate::stored::changes::ChangeRow;
use crate::stored::codes::Code;
use crate::stored::events::EventRow;
use crate::stored::failures::failure_text;
use crate::stored::places::Place;
use crate::trees::RequestAfter;

/// What is being done, for errors.
pub(super) const ACCEPTING: &str = "accepting a request";

/// A request that takes what it wishes from stock, or nothing.
pub(super) struct FromStock(pub(super) NewRequestRow);

impl Shared for FromStock {
    type Answer = Created;

    const DOING: &'static str = ACCEPTING;

    fn in_common(&self) -> impl Hash {
        self.0.taker()
    }

    fn goes_with(&self, group: &[Self]) -> bool {
        self.0.is_alike(&group[0].0)
    }

    fn serve_all<'a>(tx: &'a mut Tx, all: &'a [Self]) -> Doing<'a, Vec<Option<Created>>> {
        Box::pin(tx.accept_alike(all))
    }

    fn serve_one<'a>(tx: &'a mut Tx, one: &'a Self) -> Doing<'a, Created> {
        Box::pin(tx.accept(&one.0))
    }
}

impl Tx {
    /// Keeps a key, or says what it stands for already.
    pub(super) async fn keep_key(
        &self,
        idempotency: &Idempotency,
        request: RequestId,
    ) -> Result<Option<Created>, Fault> {
        if mutants::on(Mutant::KeyOfAnybody)
            && let Some(before) = find_key(&self.connection, idempotency).await?
        {
            return Ok(Some(before));
        }
        if self.insert_key(idempotency, request).await? {
            self.connection.split_for(Mutant::KeyInSecondTransaction).await?;
            return Ok(None);
        }
        if let Some(before) = find_key(&self.connection, idempotency).await? {
            return Ok(Some(before));
        }
        // Its time is over and the sweep has not come by yet. The new row takes its place among the newest, so that the
        // oldest stay in front.
        self.drop_key(idempotency).await?;
        if self.insert_key(idempotency, request).await? {
            return Ok(None);
        }
        // Somebody else has found the same, and was first.
        match find_key(&self.connection, idempotency).await? {
            Some(before) => Ok(Some(before)),
            None => Err(Fault::Again("a key")),
        }
    }

    /// Drops a key whose time is over.
    async fn drop_key(&self, idempotency: &Idempotency) -> Result<(), Fault> {
        let drop = "DELETE FROM idempotency WHERE token = $1 AND key = $2 AND created_at < $3";
        let before = self.now.saturating_sub(KEY_MS);
        self.connection.later(drop, &[&idempotency.token.0, &idempotency.key, &before]).await
    }

    /// Counts the leases that a request asks for; what refills stock asks for none.
    async fn count_request(&mut self, new: &NewRequestRow) -> Result<Option<OverQuota>, Fault> {
        if new.line.is_some() {
            return Ok(None);
        }
        let request = &new.request;
        let environment = self.environment(&request.environment).await?;
        let taker = Taker { token: request.token.0, environment };
        self.take_places(taker, request.units.len(), new.quota).await
    }

    /// Writes a key; false, and nothing written, when it is there. Whoever is writing the same is waited for.
    async fn insert_key(&self, idempotency: &Idempotency, request: RequestId) -> Result<bool, Fault> {
        let insert =
            "INSERT INTO idempotency (token, key, body, request, created_at) VALUES ($1, $2, $3, $4, $5)
                      ON CONFLICT DO NOTHING";
        let Idempotency { token, key, body } = idempotency;
        let rows =
            self.connection.run(insert, &[&token.0, key, &body.as_slice(), &request.0, &self.now]).await?;
        Ok(rows > 0)
    }

    /// Accepts a request: everything is looked for before anything is written.
    pub(super) async fn accept(&mut self, new: &NewRequestRow) -> Result<Created, Fault> {
        let request = &new.request;
        self.note_own(request.id);
        self.environment(&request.environment).await?;
        if let Some(idempotency) = &new.idempotency
            && let Some(before) = self.keep_key(idempotency, request.id).await?
        {
            return self.refuse(before);
        }
        let found = if new.wishes.is_empty() {
            Vec::new()
        } else {
            match self.find_in_stock(&new.wishes, new.looking, &BTreeSet::new()).await? {
                Some(found) => found,
                None => return self.refuse(Created::Short),
            }
        };
        let created = if !found.is_empty() && found.iter().all(|found| matches!(found, Found::Ready { .. })) {
            self.accept_served(new, &found).await?
        } else {
            self.accept_open(new, &found).await?
        };
        match self.count_request(new).await? {
            Some(over) => self.refuse(Created::OverQuota(over)),
            None => Ok(created),
        }
    }

    /// Accepts a request of which something is to be made.
    async fn accept_open(&mut self, new: &NewRequestRow, found: &[Found]) -> Result<Created, Fault> {
        let request = &new.request;
        self.insert_requests(&[new], None).await?;
        self.tell(&new.event);
        let taken = self.take(request, 0, found).await?;
        let mut leases = None;
        let own =
            |change: &&ChangeRow| matches!(found.get(change.unit as usize), Some(Found::Own { .. }) | None);
        for change in new.trees.iter().filter(own) {
            self.insert_own(change, found.get(change.unit as usize)).await?;
        }
        for change in new.trees.iter().filter(own).filter(|change| change.settles()) {
            let from = change.inserted(Place::Request);
            if let RequestAfter::Fulfilled { leases: granted, .. } =
                self.write_request(change, from, &new.leases).await?.after
            {
                leases = Some(granted);
            }
        }
        if taken.is_empty() {
            return Ok(Created::Accepted);
        }
        // What is ready counts, although nothing of the request has happened yet.
        if leases.is_none() && taken.iter().any(|taken| taken.how == How::Ready) {
            let ready = self.count_ready(&request.environment, request.id, &new.leases).await?;
            leases = ready.map(|(_, leases)| leases);
        }
        Ok(Created::Served(Served { taken, leases }))
    }

    /// Writes the tree that is made for a unit; it stands in line for one that is ready earlier, if there may be one.
    async fn insert_own(&mut self, change: &ChangeRow, found: Option<&Found>) -> Result<(), Fault> {
        self.insert_tree(change).await?;
        match found {
            Some(Found::Own { line: Some(line) }) if !change.settles() => {
                self.wait_in_line(change.tree, *line).await
            }
            _ => Ok(()),
        }
    }

    /// Gives a unit a dataset that has none. The line in which it may have to stand is held before the request.
    pub(super) async fn fill(&mut self, fill: &UnitFillRow) -> Result<Filled, Fault> {
        let lines = fill.wish.iter().flat_map(|row| &row.wish.lines).filter(|line| line.same_input);
        let lines: Vec<LineId> = lines.map(|line| line.id).collect();
        for line in lines {
            self.hold_line(line).await?;
        }
        self.hold_requests(&[fill.request]).await?;
        self.hold_trees_with(&[fill.request]).await?;
        let find = format!(
            "SELECT {COLUMNS} FROM request r JOIN environment e ON e.id = r.environment
             WHERE r.id = $1 AND EXISTS (SELECT 1 FROM unit_vacant v WHERE v.request = r.id AND v.unit = $2)"
        );
        let unit = i64::from(fill.unit);
        let request = self.connection.one(&find, &[&fill.request.0, &unit], read_request).await?;
        let Some(request) = request.filter(|request| !request.has_ended()) else {
            return self.refuse(Filled::NotVacant);
        };
        let found = match &fill.wish {
            Some(_) => self.find_in_stock(std::slice::from_ref(&fill.wish), fill.looking, &fill.but).await?,
            None => fill.tree.is_some().then(|| vec![Found::Own { line: None }]),
        };
        let Some(found) = found else { return self.refuse(Filled::Short) };
        let fill_it = "DELETE FROM unit_vacant WHERE request = $1 AND unit = $2";
        self.connection.later(fill_it, &[&fill.request.0, &unit]).await?;
        let taken = self.take(&request, fill.unit, &found).await?;
        if taken.is_empty() {
            let change = fill.tree.as_ref().expect("what is not found is made");
            self.insert_own(change, found.first()).await?;
            if change.settles() {
                self.write_request(change, change.inserted(Place::Request), &fill.leases).await?;
            }
            return Ok(Filled::Made);
        }
        let leases = self.count_ready(&request.environment, request.id, &fill.leases).await?;
        Ok(Filled::Served(Served { taken, leases: leases.map(|(_, leases)| leases) }))
    }

    /// Accepts a request of which everything is in stock: it is fulfilled from the beginning.
    async fn accept_served(&mut self, new: &NewRequestRow, found: &[Found]) -> Result<Created, Fault> {
        let served = self.accept_all_served(&[Handed { new, found }]).await?;
        Ok(Created::Served(served.into_iter().next().expect("who takes something is served")))
    }

    /// The same for several requests in one environment.
    async fn accept_all_served(&mut self, handed: &[Handed<'_>]) -> Result<Vec<Served>, Fault> {
        let all: Vec<&NewRequestRow> = handed.iter().map(|one| one.new).collect();
        self.insert_requests(&all, Some(self.now)).await?;
        let served = self.take_all_leased(handed).await?;
        for NewRequestRow { request, leases, .. } in all {
            let data = json!({ "leases": leases.iter().map(LeaseId::to_string).collect::<Vec<_>>() });
            let (environment, kind) = (&request.environment, "request.fulfilled");
            self.tell(&EventRow::told(self.now, environment, kind, request.id, None, &data));
        }
        Ok(served)
    }

    /// Accepts requests that are [alike](NewRequestRow::is_alike): the first get what there is, the others nothing. Nothing of it is
    /// kept when there would be too many leases: each is to be accepted by itself then.
    async fn accept_alike(&mut self, all: &[FromStock]) -> Result<Vec<Option<Created>>, Fault> {
        let first = &all.first().expect("there are at least two").0;
        let wish = first.only_wish().expect("they have a wish");
        let environment = self.environment(&first.request.environment).await?;
        let found = self.find_fresh(wish, all.len()).await?;
        if found.is_empty() {
            return self.refuse(all.iter().map(|_| Some(Created::Short)).collect());
        }
        let handed = all.iter().zip(&found);
        let handed: Vec<Handed<'_>> =
            handed.map(|(new, found)| Handed { new: &new.0, found: std::slice::from_ref(found) }).collect();
        let served = self.accept_all_served(&handed).await?;
        let taker = Taker { token: first.request.token.0, environment };
        if self.take_places(taker, served.len(), first.quota).await?.is_some() {
            return self.refuse(Vec::new());
        }
        let short = all[served.len()..].iter().map(|_| Created::Short);
        Ok(served.into_iter().map(Created::Served).chain(short).map(Some).collect())
    }

    /// The line that an open request refills, and the tree that it makes for it.
    pub(super) async fn refilled_by(&self, request: RequestId) -> Result<Option<(LineId, TreeId)>, Fault> {
        let find = "SELECT r.line, t.id FROM request r JOIN tree t ON t.request = r.id AND t.place < 3
                    WHERE r.id = $1 AND r.line IS NOT NULL";
        let read = |row: &Row| Ok((LineId(number(row, 0)?), TreeId(id(row, 1)?)));
        self.connection.one(find, &[&request.0], read).await
    }

    /// Writes requests of one environment as they begin; those that are fulfilled from the beginning end at `served_at`.
    pub(super) async fn insert_requests(
        &mut self,
        all: &[&NewRequestRow],
        served_at: Option<i64>,
    ) -> Result<(), Fault> {
        let first = &all.first().expect("there is at least one").request;
        let environment = self.environment(&first.environment).await?;
        let mut contracts = Vec::with_capacity(all.len());
        for new in all {
            let unit = new.request.units.first().expect("a request has at least one unit");
            contracts.push(self.contract(environment, &unit.contract.to_string()).await?);
        }
        let insert =
            "INSERT INTO request (id, environment, contract, units, trees, listed, source, ttl_ms, holder, token,
                                  priority, channel, status, revision, ready, created_at, deadline_at, ended_at,
                                  failure, line, refills, selection, rerun_of)
             SELECT r.id, $23::bigint, r.contract, r.units, r.trees, r.listed, r.source, r.ttl_ms, r.holder, r.token,
                    r.priority, r.channel, r.status, r.revision, r.ready, r.created_at, r.deadline_at, r.ended_at,
                    r.failure, r.line, r.refills, r.selection, r.rerun_of
             FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::bigint[], $5::boolean[], $6::bigint[], $7::bigint[],
                         $8::text[], $9::uuid[], $10::bigint[], $11::text[], $12::bigint[], $13::bigint[], $14::bigint[],
                         $15::bigint[], $16::bigint[], $17::bigint[], $18::text[], $19::bigint[], $20::text[],
                         $21::text[], $22::uuid[])
                  AS r (id, contract, units, trees, listed, source, ttl_ms, holder, token, priority, channel, status,
                        revision, ready, created_at, deadline_at, ended_at, failure, line, refills, selection, rerun_of)";
        let status =
            |request: &Request| served_at.map_or(request.status, |_| RequestStatus::Fulfilled).code();
        let ready =
            |request: &Request| served_at.map_or(request.ready.into(), |_| request.units.len() as i64);
        self.connection
            .later(
                insert,
                &[
                    &each(all, |new| new.request.id.0),
                    &contracts,
                    &each(all, |new| new.units.as_str()),
                    &each(all, |new| new.request.units.len() as i64),
                    &each(all, |new| new.request.listed),
                    &each(all, |new| new.request.source.code()),
                    &each(all, |new| int(new.request.ttl_ms)),
                    &each(all, |new| new.request.holder.as_str()),
                    &each(all, |new| new.request.token.0),
                    &each(all, |new| new.request.priority.code()),
                    &each(all, |new| new.request.channel.as_deref()),
                    &each(all, |new| status(&new.request)),
                    &each(all, |new| int(new.request.revision)),
                    &each(all, |new| ready(&new.request)),
                    &each(all, |new| ms(new.request.created_at)),
                    &each(all, |new| ms(new.request.deadline_at)),
                    &each(all, |new| served_at.or(new.request.ended_at.map(ms))),
                    &each(all, |new| new.request.failure.as_ref().map(failure_text)),
                    &each(all, |new| new.line.map(|line| line.0)),
                    &each(all, |new| new.request.refills.as_ref().map(RuleName::as_str)),
                    &each(all, |new| new.selection.as_deref()),
                    &each(all, |new| new.request.rerun_of.map(|tree| tree.0)),
                    &environment,
                ],
            )
            .await
    }
}

/// One column of all rows.
fn each<'n, T>(all: &[&'n NewRequestRow], column: impl Fn(&'n NewRequestRow) -> T) -> Vec<T> {
    all.iter().map(|new| column(new)).collect()
}
