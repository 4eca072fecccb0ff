//! Requests: accepted with everything that can begin at once, listed, cancelled.

mod planned;
mod waiting;

use std::sync::Arc;

use futures::future::try_join_all;
use jiff::Timestamp;
use serde_json::{Value, json};
use sixpack_model::event::Event;
use sixpack_model::failure::Failure;
use sixpack_model::ids::{RequestId, TreeId};
use sixpack_model::lease::Lease;
use sixpack_model::name::ContractName;
use sixpack_model::plan;
use sixpack_model::request::{Priority, Request, RequestStatus, Selection, Source};
use sixpack_model::tree::Tree;
use sixpack_storage::StoreError;
use sixpack_storage::measures::Name;
use sixpack_storage::page::{Listed, Page};
use sixpack_storage::requests::{
    Created, Ended, Idempotency, Looking, NewRequest, OverQuota, Quota, QuotaOf, RequestFilter, Served,
};
use sixpack_storage::stock::StockWish;
use sixpack_storage::trees::{Lately, RequestEnd};

use crate::Engine;
use crate::caller::Caller;
use crate::finding::accept_source;
use crate::joining::sought_by;
use crate::refusal::Refusal;
use crate::reruns::RerunView;
use crate::shelf::Shelf;
use crate::successors::Successors;

pub(crate) use planned::{Accepted, Asked, Outlook, Planned, first_change, new_import, new_request};
use planned::{accept_criteria, accept_preference, accept_units, given_of};
pub(crate) use waiting::Fulfilment;
pub use waiting::Made;

/// What a consumer wants.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Where.
    pub environment: String,
    /// Contract and input of each dataset; never empty.
    pub units: Vec<(ContractName, Value)>,
    /// True when the consumer gave a list of different contracts.
    pub listed: bool,
    /// Where the data may come from.
    pub source: Source,
    /// Which of what is in stock is wanted.
    pub selection: Selection,
    /// How long each lease lasts.
    pub ttl_ms: u64,
    /// Who it is for; the token's name when empty.
    pub holder: String,
    /// The total time allowed.
    pub timeout_ms: u64,
    /// Who waits.
    pub priority: Priority,
    /// The channel of suppliers under development that it is for, if any.
    pub channel: Option<String>,
    /// The caller's key and the fingerprint of its body.
    pub idempotency: Option<(String, [u8; 32])>,
}

/// A request with everything that is shown of it.
#[derive(Debug, Clone)]
pub struct RequestView {
    /// The request.
    pub request: Request,
    /// Its datasets, in the order of its units.
    pub trees: Vec<Arc<Tree>>,
    /// The leases on them; empty until it is fulfilled.
    pub leases: Vec<Lease>,
    /// The contracts, to explain the datasets with.
    pub shelf: Arc<Shelf>,
    /// How the contract that failed has been doing.
    pub lately: Option<Lately>,
    /// How many requests wait for the same from stock and come first; `None` when it does not wait in line.
    pub ahead: Option<u64>,
    /// How it relates to the dataset that it asks for again, if it does.
    pub rerun: Option<RerunView>,
}

impl Engine {
    /// Accepts a request, or finds the one that the same call made before.
    pub async fn create_request(&self, caller: &Caller, wanted: Wanted) -> Result<Made, Refusal> {
        let idempotency =
            wanted.idempotency.clone().map(|(key, body)| Idempotency { token: caller.token, key, body });
        let planned = match self.plan_request(caller, wanted).await {
            Ok(planned) => planned,
            Err(refusal) => return self.made_before(idempotency.as_ref(), refusal).await,
        };
        // Most often everything is in stock, or nothing is kept: nothing is planned in vain.
        if planned.may_be_served()
            && let Some(made) =
                self.make(caller, planned.served_by_stock(Looking::Fresh, idempotency.clone())).await?
        {
            return Ok(made);
        }
        if planned.source == Source::StockOnly || planned.needs_stock() {
            if planned.may_be_served()
                && let Some(made) =
                    self.make(caller, planned.served_by_stock(Looking::InStock, idempotency)).await?
            {
                return Ok(made);
            }
            self.inner.stock.note_served(None, &planned.wishes);
            return Err(self.out_of_stock(&planned).await?);
        }
        self.make(caller, planned.made(&self.inner.stock, idempotency)).await?.ok_or(Refusal::Busy)
    }

    /// Makes a request that was planned and takes nothing from stock, or finds the one that the same call made before.
    pub(crate) async fn make_request(
        &self,
        caller: &Caller,
        planned: Result<NewRequest, Refusal>,
        idempotency: Option<(String, [u8; 32])>,
    ) -> Result<Made, Refusal> {
        let idempotency = idempotency.map(|(key, body)| Idempotency { token: caller.token, key, body });
        match planned {
            Ok(new) => self.make(caller, NewRequest { idempotency, ..new }).await?.ok_or(Refusal::Busy),
            Err(refusal) => self.made_before(idempotency.as_ref(), refusal).await,
        }
    }

    /// What was accepted once is answered again, also when it would not be accepted any more.
    async fn made_before(
        &self,
        idempotency: Option<&Idempotency>,
        refusal: Refusal,
    ) -> Result<Made, Refusal> {
        let known = match idempotency {
            Some(idempotency) => self.store().find_idempotent(idempotency).await?,
            None => None,
        };
        known.map_or(Err(refusal), |known| self.replay(known))
    }

    /// Writes a request; `None` when not everything that it needs is in stock.
    async fn make(&self, caller: &Caller, new: NewRequest) -> Result<Option<Made>, Refusal> {
        let new = NewRequest { quota: self.quota(), ..new };
        let (id, open) = (new.request.id, new.request.clone());
        let settled = new.trees.iter().any(|change| change.outcome.is_some());
        // Watched from before it is written: not even the quickest end is missed.
        let watching = self.inner.ended.watch(id);
        let engine = self.clone();
        // Detached, because a caller that hangs up must not keep the rest from being told.
        let created = tokio::spawn(async move { engine.accept(new).await });
        match created.await.map_err(|_| Refusal::Busy)?? {
            Created::Accepted => {
                let open = (!settled).then_some(open);
                Ok(Some(Made { id, replayed: false, open, fulfilled: None, watching }))
            }
            Created::Served(Served { leases, .. }) => {
                let fulfilled = leases.map(|leases| Fulfilment { revision: open.revision, leases });
                let open = (!settled || fulfilled.is_some()).then_some(open);
                Ok(Some(Made { id, replayed: false, open, fulfilled, watching }))
            }
            Created::Short => Ok(None),
            Created::OverQuota(over) => Err(over_quota(caller, &open, over)),
            known => self.replay(known).map(Some),
        }
    }

    fn quota(&self) -> Quota {
        let settings = &self.inner.settings;
        Quota { per_token: settings.leases_per_token, per_environment: settings.leases_per_environment }
    }

    async fn plan_request(&self, caller: &Caller, wanted: Wanted) -> Result<Planned, Refusal> {
        let (shelf, overlay) =
            self.visible_shelf_in(caller, &wanted.environment, wanted.channel.as_deref()).await?;
        let now = self.store().now().await?;
        let units = accept_units(&wanted, &shelf)?;
        accept_criteria(&wanted, &units)?;
        accept_preference(&wanted, &units)?;
        accept_source(&wanted, &units)?;
        let mut wishes = self.wishes(&wanted, &shelf, &units, now)?;
        if self.needs_lines(&wanted, &wishes) {
            self.learn_lines().await?;
            wishes = self.wishes(&wanted, &shelf, &units, now)?;
        }
        let given = given_of(&wanted, &units, &wishes);
        let holder = if wanted.holder.is_empty() { caller.name.clone() } else { wanted.holder.clone() };
        Ok(Planned {
            source: wanted.source,
            wanted,
            holder,
            token: caller.token,
            units,
            given,
            wishes,
            shelf,
            overlay,
            now,
        })
    }

    /// Whether a request would be refused for what another server may keep in stock.
    fn needs_lines(&self, wanted: &Wanted, wishes: &[Option<Arc<StockWish>>]) -> bool {
        let only_stock = wanted.source == Source::StockOnly || wanted.selection.select.is_some();
        let all_known = !wishes.is_empty() && wishes.iter().all(Option::is_some);
        only_stock && !all_known && wanted.channel.is_none() && !self.is_alone()
    }

    /// What each dataset could be taken from; empty when nothing is to come from stock.
    fn wishes(
        &self,
        wanted: &Wanted,
        shelf: &Shelf,
        units: &[Accepted],
        now: Timestamp,
    ) -> Result<Vec<Option<Arc<StockWish>>>, Refusal> {
        // What a channel makes is for those who name it.
        let from_stock = matches!(wanted.source, Source::StockFirst | Source::StockOnly);
        if !from_stock || wanted.channel.is_some() {
            return Ok(Vec::new());
        }
        let mut wishes: Vec<Option<Arc<StockWish>>> = Vec::with_capacity(units.len());
        for ((contract, input), (_, given)) in units.iter().zip(&wanted.units) {
            if let (false, Some(first)) = (wanted.listed, wishes.first()) {
                wishes.push(first.clone());
                continue;
            }
            let asked = (&**contract, given, &**input);
            wishes.push(self.inner.stock.wish(&wanted.environment, shelf, asked, &wanted.selection, now));
        }
        Ok(if wishes.iter().all(Option::is_none) { Vec::new() } else { wishes })
    }

    fn replay(&self, known: Created) -> Result<Made, Refusal> {
        match known {
            Created::Replayed(id) => {
                let watching = self.inner.ended.watch(id);
                Ok(Made { id, replayed: true, open: None, fulfilled: None, watching })
            }
            // A key that is known stands for a request, or for another body.
            Created::Accepted
            | Created::Served(_)
            | Created::Short
            | Created::KeyReused
            | Created::OverQuota(_) => Err(Refusal::KeyReused),
        }
    }

    async fn accept(&self, new: NewRequest) -> Result<Created, Refusal> {
        let request = new.request.clone();
        let trees: Vec<Arc<Tree>> = new.trees.iter().map(|change| Arc::clone(&change.tree)).collect();
        let wishes = new.wishes.clone();
        let settled = new.trees.iter().any(|change| change.outcome.is_some());
        let failed = new.trees.iter().any(|change| matches!(change.outcome, Some(plan::Outcome::Failed(_))));
        let due: Vec<_> =
            new.trees.iter().filter_map(|change| Some((change.at, change.tree.due_at()?))).collect();
        let offers = self.offers_beside(&new.trees, &Successors::of_nobody());
        let sought = sought_by(&new.trees);
        trees.iter().for_each(|tree| self.inner.trees.expect(tree));
        let (created, offered) = match self.is_alone() {
            true => self.commit_with_offers(self.store().create_request(new), offers).await,
            false => {
                let create = |claimants| self.store().create_request_claiming(new, claimants);
                self.commit_claiming(create, offers, &Successors::of_nobody()).await
            }
        };
        let members: Vec<TreeId> = trees.iter().map(|tree| tree.id).collect();
        if matches!(created, Ok(Created::Accepted | Created::Served(_))) {
            self.inner.trees.units.insert(request.id, request.units.len());
        }
        match &created {
            Ok(Created::Accepted) => {
                self.inner.measures.accepted.of(Name::place(&request.environment)).add_one();
                if failed {
                    self.inner.measures.request_ended(&request.environment, RequestStatus::Failed);
                }
                self.inner.trees.members.insert(request.id, members.into());
                due.into_iter().for_each(|(now, at)| self.remind_of_due(now, at));
                if !settled {
                    trees.iter().for_each(|tree| self.inner.trees.keep(tree));
                }
                self.inner.stock.note_served(None, &wishes);
            }
            Ok(Created::Served(served)) => {
                self.inner.measures.accepted.of(Name::place(&request.environment)).add_one();
                self.inner.stock.note_served(Some(served), &wishes);
                self.served_from_stock(&request, members, served);
                self.hand_over(&request, served);
                due.into_iter().for_each(|(now, at)| self.remind_of_due(now, at));
            }
            _ => {}
        }
        trees.iter().for_each(|tree| self.inner.trees.expect_no_more(tree.id));
        self.beat();
        self.hand_out(offered).await;
        if settled {
            self.inner.sweeps.unwanted.notify_one();
        }
        if matches!(created, Ok(Created::Accepted | Created::Served(_))) {
            self.seek_all(sought).await;
        }
        Ok(created?)
    }

    /// Brings what is remembered up to date with what a request was given.
    fn served_from_stock(&self, request: &Request, mut members: Vec<TreeId>, served: &Served) {
        members.resize(request.units.len(), TreeId(uuid::Uuid::nil()));
        for taken in &served.taken {
            let lease = served.leases.as_ref().and_then(|leases| leases.get(taken.unit as usize));
            self.inner.trees.taken(request, taken, lease.map(|lease| lease.id));
            members[taken.unit as usize] = taken.tree;
            self.inner.stock.tend(taken.line);
        }
        // What was made at once, because nothing of it had to be made, was leased with the rest.
        let own = members.iter().filter(|tree| !served.taken.iter().any(|taken| taken.tree == **tree));
        self.inner.trees.forget(&own.copied().collect::<Vec<_>>());
        self.inner.trees.members.insert(request.id, members.into());
    }

    /// Reads a request with its datasets and leases.
    pub async fn request(&self, caller: &Caller, id: RequestId) -> Result<RequestView, Refusal> {
        let request = self.visible_request(caller, id).await?;
        self.view(request).await
    }

    /// Lists requests, newest first.
    pub async fn requests(
        &self,
        caller: &Caller,
        mut filter: RequestFilter,
        page: Page<RequestId>,
    ) -> Result<Listed<RequestView, RequestId>, Refusal> {
        if !caller.narrow(&mut filter.environment) {
            return Ok(Listed::empty());
        }
        let found = self.store().requests(&filter, page).await?;
        let rows = try_join_all(found.rows.into_iter().map(|request| self.view(request))).await?;
        Ok(Listed { rows, next: found.next })
    }

    /// Ends a request that nobody wants any more; one that has ended stays as it is.
    pub async fn cancel_request(&self, caller: &Caller, id: RequestId) -> Result<RequestView, Refusal> {
        let request = self.visible_request(caller, id).await?;
        if !caller.owns(request.token) {
            return Err(Refusal::unknown("request", id));
        }
        self.end_request(&request, RequestStatus::Cancelled, "request.cancelled").await?;
        self.request(caller, id).await
    }

    /// Ends a request from outside of its trees, and has them taken down.
    pub(crate) async fn end_request(
        &self,
        request: &Request,
        status: RequestStatus,
        told: &'static str,
    ) -> Result<Ended, Refusal> {
        let failure = match status {
            RequestStatus::Expired => match self.why_late(request).await {
                // It ends all the same: what cannot be read now cannot be read later.
                Err(Refusal::Store(error @ StoreError::Broken { .. })) => {
                    tracing::error!(request = %request.id, %error, "nobody knows why a request is late");
                    None
                }
                known => known?,
            },
            _ => None,
        };
        self.end_request_for(request, status, told, failure).await
    }

    /// Ends a request from outside of its trees for a reason, and has them taken down.
    pub(crate) async fn end_request_for(
        &self,
        request: &Request,
        status: RequestStatus,
        told: &'static str,
        failure: Option<Failure>,
    ) -> Result<Ended, Refusal> {
        let at = self.store().now().await?;
        let message = failure.as_ref().map_or("", |failure| failure.message.as_str());
        let event = request_event(request, at, told, json!({ "message": message }));
        let ended = self.store().end_request(request.id, status, RequestEnd { failure, event }).await?;
        if ended == Ended::Now {
            self.inner.measures.request_ended(&request.environment, status);
            if request.refills.is_some() && status == RequestStatus::Expired {
                let unit = &request.units[0];
                let line = self.inner.stock.line_of(&request.environment, &unit.contract, &unit.input);
                line.into_iter().for_each(|line| self.inner.stock.note_failed(line));
            }
            self.wake_request(request.id);
            self.inner.ended.wake(request.id);
            self.beat();
            self.inner.sweeps.unwanted.notify_one();
        }
        Ok(ended)
    }

    async fn why_late(&self, request: &Request) -> Result<Option<Failure>, Refusal> {
        let now = self.store().now().await?;
        for id in self.members(request.id).await?.iter() {
            if let Some(tree) = self.tree(*id).await?
                && let Some(shelf) = self.shelf_of(&tree).await?
                && let open = self.store().open_tasks(*id).await?
                && let Some(failure) = plan::overdue(&tree, &*shelf, &open, now)
            {
                return Ok(Some(failure));
            }
        }
        Ok(None)
    }

    async fn visible_request(&self, caller: &Caller, id: RequestId) -> Result<Request, Refusal> {
        let request = self.store().request(id).await?;
        request
            .filter(|request| caller.sees(&request.environment))
            .ok_or_else(|| Refusal::unknown("request", id))
    }

    async fn view(&self, request: Request) -> Result<RequestView, Refusal> {
        let leases = match request.status {
            RequestStatus::Fulfilled => self.store().leases_of(request.id).await?,
            _ => Vec::new(),
        };
        self.view_with(request, leases).await
    }

    /// The trees of a request. What is remembered of them may be out of date: they go from one request to another.
    async fn trees_of(&self, request: &Request) -> Result<Vec<Arc<Tree>>, Refusal> {
        let fulfilled = request.status == RequestStatus::Fulfilled;
        if request.status.ended() && !fulfilled {
            // What it had from stock went back there with its end, which what is remembered does not know.
            self.inner.trees.members.invalidate(&request.id);
        }
        let read = |id: TreeId| async move {
            if fulfilled { self.leased_tree(id).await } else { self.tree(id).await }
        };
        let ids = self.members(request.id).await?;
        let trees = try_join_all(ids.iter().map(|id| read(*id))).await?;
        let trees: Vec<Arc<Tree>> = trees.into_iter().flatten().collect();
        if trees.len() == ids.len() && trees.iter().all(|tree| tree.request == request.id) {
            return Ok(trees);
        }
        self.inner.trees.members.invalidate(&request.id);
        let ids = self.members(request.id).await?;
        let trees = try_join_all(ids.iter().map(|id| self.store().load_tree(*id))).await?;
        Ok(trees.into_iter().flatten().map(Arc::new).collect())
    }

    async fn view_with(&self, request: Request, leases: Vec<Lease>) -> Result<RequestView, Refusal> {
        let trees = self.trees_of(&request).await?;
        self.view_with_trees(request, leases, trees).await
    }

    async fn view_with_trees(
        &self,
        request: Request,
        leases: Vec<Lease>,
        trees: Vec<Arc<Tree>>,
    ) -> Result<RequestView, Refusal> {
        let lately = match &request.failure {
            Some(failure) => {
                let contract = failure.contract.to_string();
                Some(self.store().lately(&request.environment, &contract, failure.version).await?)
            }
            None => None,
        };
        // All trees of a request were begun upon the same.
        let shelf = match trees.first() {
            Some(tree) => self.shelf_of(tree).await?,
            None => self.shelf(&request.environment),
        };
        let shelf = shelf.unwrap_or_default();
        let ahead = match request.status {
            RequestStatus::Building if trees.iter().any(|tree| tree.line.is_some()) => {
                self.store().place_in_line(request.id).await?
            }
            _ => None,
        };
        let rerun = self.view_rerun(&request, &trees, &shelf).await?;
        Ok(RequestView { request, trees, leases, shelf, lately, ahead, rerun })
    }
}

/// What keeps a request from being accepted, with the name of whoever has too many.
fn over_quota(caller: &Caller, request: &Request, over: OverQuota) -> Refusal {
    let OverQuota { of, limit, taken } = over;
    let name = match of {
        QuotaOf::Token => caller.name.clone(),
        QuotaOf::Environment => request.environment.clone(),
    };
    Refusal::QuotaLeases { of, name, limit, taken, asked: request.units.len() as u64 }
}

fn request_event(request: &Request, at: Timestamp, kind: &'static str, data: Value) -> Event {
    Event { request: Some(request.id), ..Event::of_environment(&request.environment, at, kind, data) }
}
