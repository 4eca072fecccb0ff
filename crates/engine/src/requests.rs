//! Requests: accepted with everything that can begin at once, waited for, cancelled.

use std::sync::Arc;
use std::time::Duration;

use futures::future::try_join_all;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use sixpack_model::channel::Overlay;
use sixpack_model::contract::Contract;
use sixpack_model::event::Event;
use sixpack_model::fault::Fault;
use sixpack_model::ids::{LeaseId, RequestId, TreeId};
use sixpack_model::lease::Lease;
use sixpack_model::name::ContractName;
use sixpack_model::plan::{self, Change, NewTree, World};
use sixpack_model::request::{Priority, Request, RequestStatus, Source, Unit};
use sixpack_model::tree::Tree;
use sixpack_storage::page::Page;
use sixpack_storage::requests::{
    Created, Ended, Idempotency, NewRequest, OverQuota, Quota, QuotaOf, RequestFilter,
};
use sixpack_storage::trees::{Lately, RequestEnd};
use tokio::sync::futures::OwnedNotified;
use tokio::time::Instant;

use crate::caller::Caller;
use crate::refusal::Refusal;
use crate::shelf::Shelf;
use crate::watch::Watching;
use crate::{Engine, mint};

/// Whoever waits for a request reads it again after this long even if nothing woke it.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

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
}

/// A request that was accepted, now or by an earlier call; its end is watched for as long as this lives.
pub struct Made {
    /// The request.
    pub id: RequestId,
    /// True when the same call had made it before.
    pub replayed: bool,
    /// The request as it was written just now, when nothing of it can have ended with that.
    open: Option<Request>,
    watching: Watching<RequestId, Fulfilment>,
}

/// What the write that fulfils a request leaves to be told.
#[derive(Debug, Clone)]
pub(crate) struct Fulfilment {
    pub(crate) revision: u64,
    pub(crate) leases: Vec<Lease>,
}

impl Engine {
    /// Accepts a request, or finds the one that the same call made before.
    pub async fn create_request(&self, caller: &Caller, wanted: Wanted) -> Result<Made, Refusal> {
        let idempotency =
            wanted.idempotency.clone().map(|(key, body)| Idempotency { token: caller.token, key, body });
        let environment = wanted.environment.clone();
        let new = match self.plan_request(caller, wanted).await {
            Ok(new) => new,
            // What was accepted once is answered again, also when it would not be accepted any more.
            Err(refusal) => {
                let known = match &idempotency {
                    Some(idempotency) => self.store().find_idempotent(idempotency).await?,
                    None => None,
                };
                return known.map_or(Err(refusal), |known| self.replay(known));
            }
        };
        let new = NewRequest { idempotency, quota: self.quota(), ..new };
        let asked = new.trees.len() as u64;
        let (id, open) = (new.request.id, new.request.clone());
        self.inner.trees.members.insert(id, new.trees.iter().map(|change| change.tree.id).collect());
        let settled = new.trees.iter().any(|change| change.outcome.is_some());
        // Watched from before it is written: not even the quickest end is missed.
        let watching = self.inner.ended.watch(id);
        let engine = self.clone();
        // Detached, because a caller that hangs up must not keep the rest from being told.
        let created = tokio::spawn(async move { engine.accept(new).await });
        match created.await.map_err(|_| Refusal::Busy)?? {
            Created::Accepted => Ok(Made { id, replayed: false, open: (!settled).then_some(open), watching }),
            Created::OverQuota(over) => Err(over_quota(caller, environment, asked, over)),
            known => self.replay(known),
        }
    }

    fn quota(&self) -> Quota {
        let settings = &self.inner.settings;
        Quota { per_token: settings.leases_per_token, per_environment: settings.leases_per_environment }
    }

    async fn plan_request(&self, caller: &Caller, wanted: Wanted) -> Result<NewRequest, Refusal> {
        let (shelf, overlay) =
            self.visible_shelf_in(caller, &wanted.environment, wanted.channel.as_deref()).await?;
        let now = self.store().now().await?;
        plan_request(caller, wanted, (&shelf, &overlay), now)
    }

    fn replay(&self, known: Created) -> Result<Made, Refusal> {
        match known {
            Created::Replayed(id) => {
                let watching = self.inner.ended.watch(id);
                Ok(Made { id, replayed: true, open: None, watching })
            }
            // A key that is known stands for a request, or for another body.
            Created::Accepted | Created::KeyReused | Created::OverQuota(_) => Err(Refusal::KeyReused),
        }
    }

    async fn accept(&self, new: NewRequest) -> Result<Created, Refusal> {
        let trees: Vec<Arc<Tree>> = new.trees.iter().map(|change| Arc::clone(&change.tree)).collect();
        let settled = new.trees.iter().any(|change| change.outcome.is_some());
        let due: Vec<_> =
            new.trees.iter().filter_map(|change| Some((change.at, change.tree.due_at()?))).collect();
        let offers = self.offers(&new.trees);
        trees.iter().for_each(|tree| self.inner.trees.expect(tree));
        let (created, offered) = self.commit_with_offers(self.store().create_request(new), offers).await;
        if matches!(created, Ok(Created::Accepted)) {
            due.into_iter().for_each(|(now, at)| self.remind_of_due(now, at));
            if !settled {
                trees.iter().for_each(|tree| self.inner.trees.keep(tree));
            }
        }
        trees.iter().for_each(|tree| self.inner.trees.expect_no_more(tree.id));
        self.inner.committed.beat();
        self.hand_out(offered).await;
        if settled {
            self.inner.sweeps.unwanted.notify_one();
        }
        Ok(created?)
    }

    /// Reads a request with its datasets and leases.
    pub async fn request(&self, caller: &Caller, id: RequestId) -> Result<RequestView, Refusal> {
        let request = self.visible_request(caller, id).await?;
        self.view(request).await
    }

    /// Waits until a request that was made has ended, or the time is up; answers how it stands then.
    pub async fn wait_for_made(
        &self,
        caller: &Caller,
        made: &Made,
        wait: Duration,
    ) -> Result<RequestView, Refusal> {
        let until = Instant::now() + wait;
        if let Some(open) = made.open.as_ref().filter(|_| !wait.is_zero()) {
            let news = made.watching.next();
            if made.watching.news().is_none() {
                let _ = tokio::time::timeout_at(until.min(Instant::now() + LOOK_AGAIN), news).await;
            }
            if let Some(fulfilment) = made.watching.news() {
                return self.fulfilled(open, fulfilment).await;
            }
        }
        self.wait_until(caller, made.id, until, || made.watching.next(), Request::has_ended).await
    }

    /// Reads a request once it has ended, or has a revision above `after` if that is given, or the time is up.
    pub async fn wait_for_request(
        &self,
        caller: &Caller,
        id: RequestId,
        after: Option<u64>,
        wait: Duration,
    ) -> Result<RequestView, Refusal> {
        let until = Instant::now() + wait;
        match after {
            None => {
                let watching = self.inner.ended.watch(id);
                self.wait_until(caller, id, until, || watching.next(), Request::has_ended).await
            }
            Some(after) => {
                let watching = self.inner.requests.watch(id);
                let changed = |request: &Request| request.has_ended() || request.revision > after;
                self.wait_until(caller, id, until, || watching.next(), changed).await
            }
        }
    }

    /// Reads a request again with each wake-up, until it is as wished or the time is up.
    async fn wait_until(
        &self,
        caller: &Caller,
        id: RequestId,
        until: Instant,
        next: impl Fn() -> OwnedNotified,
        wished: impl Fn(&Request) -> bool,
    ) -> Result<RequestView, Refusal> {
        loop {
            // Listening begins before looking: a change in between is not missed.
            let news = next();
            let request = self.visible_request(caller, id).await?;
            if wished(&request) || Instant::now() >= until {
                return self.view(request).await;
            }
            // Woken or not, it is read again.
            let _ = tokio::time::timeout_at(until.min(Instant::now() + LOOK_AGAIN), news).await;
        }
    }

    /// A request as the write that fulfilled it has left it.
    async fn fulfilled(&self, open: &Request, fulfilment: &Fulfilment) -> Result<RequestView, Refusal> {
        let Fulfilment { revision, leases } = fulfilment.clone();
        let request = Request {
            status: RequestStatus::Fulfilled,
            revision,
            ready: open.units.len() as u32,
            ended_at: leases.first().map(|lease| lease.granted_at),
            ..open.clone()
        };
        self.view_with(request, leases).await
    }

    /// Lists requests, newest first.
    pub async fn requests(
        &self,
        caller: &Caller,
        mut filter: RequestFilter,
        page: Page<RequestId>,
    ) -> Result<Vec<RequestView>, Refusal> {
        if !caller.narrow(&mut filter.environment) {
            return Ok(Vec::new());
        }
        let requests = self.store().requests(&filter, page).await?;
        try_join_all(requests.into_iter().map(|request| self.view(request))).await
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
            RequestStatus::Expired => self.why_late(request).await?,
            _ => None,
        };
        let at = self.store().now().await?;
        let message = failure.as_ref().map_or("", |failure| failure.message.as_str());
        let event = request_event(request, at, told, json!({ "message": message }));
        let ended = self.store().end_request(request.id, status, RequestEnd { failure, event }).await?;
        if ended == Ended::Now {
            self.inner.requests.wake(request.id);
            self.inner.ended.wake(request.id);
            self.inner.committed.beat();
            self.inner.sweeps.unwanted.notify_one();
        }
        Ok(ended)
    }

    async fn why_late(&self, request: &Request) -> Result<Option<sixpack_model::failure::Failure>, Refusal> {
        let now = self.store().now().await?;
        for id in self.members(request.id).await?.iter() {
            if let Some(tree) = self.tree(*id, 0).await?
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

    async fn view_with(&self, request: Request, leases: Vec<Lease>) -> Result<RequestView, Refusal> {
        let ids = self.members(request.id).await?;
        let fulfilled = request.status == RequestStatus::Fulfilled;
        let read = |id: TreeId| async move {
            if fulfilled { self.leased_tree(id).await } else { self.tree(id, 0).await }
        };
        let trees = try_join_all(ids.iter().map(|id| read(*id))).await?;
        let lately = match &request.failure {
            Some(failure) => {
                let contract = failure.contract.to_string();
                Some(self.store().lately(&request.environment, &contract, failure.version).await?)
            }
            None => None,
        };
        let trees: Vec<Arc<Tree>> = trees.into_iter().flatten().collect();
        // All trees of a request were begun upon the same.
        let shelf = match trees.first() {
            Some(tree) => self.shelf_of(tree).await?,
            None => self.shelf(&request.environment),
        };
        let shelf = shelf.unwrap_or_default();
        Ok(RequestView { request, trees, leases, shelf, lately })
    }
}

fn plan_request(
    caller: &Caller,
    wanted: Wanted,
    (shelf, overlay): (&Shelf, &Overlay),
    now: Timestamp,
) -> Result<NewRequest, Refusal> {
    let id = RequestId(mint::id(now));
    let environment: Arc<str> = Arc::from(wanted.environment.as_str());
    let channel: Option<Arc<str>> = wanted.channel.as_deref().map(Arc::from);
    let units = accept_units(&wanted, shelf)?;
    let timeout_ms = timeout_ms(&wanted, &units);
    let deadline_at = later(now, timeout_ms);
    let trees: Vec<Change> = (0u32..)
        .zip(&units)
        .map(|(unit, (contract, input))| {
            let own_ms = own_timeout_ms(contract).filter(|own_ms| *own_ms < timeout_ms);
            let new = NewTree {
                id: TreeId(mint::id(now)),
                environment: Arc::clone(&environment),
                request: id,
                unit,
                contract: Arc::clone(contract),
                input: Arc::clone(input),
                priority: wanted.priority,
                channel: channel.clone(),
                overlay: overlay.clone(),
                seed: mint::seed(),
                unique: mint::unique(),
                until: own_ms.map(|own_ms| later(now, own_ms)),
            };
            plan::begin(new, World { versions: shelf, now, chance: mint::chance() })
        })
        .collect();
    let holder = if wanted.holder.is_empty() { caller.name.clone() } else { wanted.holder };
    let request = Request {
        id,
        environment: wanted.environment,
        units: units
            .into_iter()
            .map(|(contract, input)| Unit {
                contract: contract.name.clone(),
                version: contract.version,
                input,
            })
            .collect(),
        listed: wanted.listed,
        source: wanted.source,
        ttl_ms: wanted.ttl_ms,
        holder,
        token: caller.token,
        priority: wanted.priority,
        channel: wanted.channel,
        status: RequestStatus::Building,
        revision: 1,
        ready: 0,
        created_at: now,
        deadline_at,
        ended_at: None,
        failure: None,
    };
    let mut told = json!({ "holder": request.holder });
    if let Some(channel) = &request.channel {
        told["channel"] = Value::from(channel.as_str());
    }
    let event = request_event(&request, now, "request.building", told);
    let leases = trees.iter().map(|_| LeaseId(mint::id(now))).collect();
    Ok(NewRequest { request, trees, leases, idempotency: None, quota: Quota::UNLIMITED, event })
}

fn over_quota(caller: &Caller, environment: String, asked: u64, over: OverQuota) -> Refusal {
    let OverQuota { of, limit, taken } = over;
    let name = match of {
        QuotaOf::Token => caller.name.clone(),
        QuotaOf::Environment => environment,
    };
    Refusal::QuotaLeases { of, name, limit, taken, asked }
}

/// The time that a request has: what the consumer allows, or less when no dataset of it may take so long.
fn timeout_ms(wanted: &Wanted, units: &[Accepted]) -> u64 {
    let own: Option<Vec<u64>> = units.iter().map(|(contract, _)| own_timeout_ms(contract)).collect();
    let longest = own.and_then(|own| own.into_iter().max());
    longest.map_or(wanted.timeout_ms, |longest| longest.min(wanted.timeout_ms))
}

/// How long making one dataset of a contract may take, if it says so.
fn own_timeout_ms(contract: &Contract) -> Option<u64> {
    contract.scenario()?.timeout_s.map(|timeout_s| u64::from(timeout_s) * 1000)
}

fn later(now: Timestamp, ms: u64) -> Timestamp {
    let span = SignedDuration::from_millis(i64::try_from(ms).unwrap_or(i64::MAX));
    now.checked_add(span).unwrap_or(Timestamp::MAX)
}

/// The contract of a dataset, and its input with defaults.
type Accepted = (Arc<Contract>, Arc<Value>);

/// Finds the contract of each dataset and holds its input against it; all faults at once.
fn accept_units(wanted: &Wanted, shelf: &Shelf) -> Result<Vec<Accepted>, Refusal> {
    let mut faults = Vec::new();
    let mut units: Vec<Accepted> = Vec::with_capacity(wanted.units.len());
    for (index, (name, input)) in wanted.units.iter().enumerate() {
        // A count of one contract repeats the very same unit.
        if let (false, Some(first)) = (wanted.listed, units.first()) {
            units.push(first.clone());
            continue;
        }
        let contract = shelf.requestable(name)?;
        let input = contract.input.with_defaults(input.clone());
        let prefix = if wanted.listed { format!("/items/{index}/input") } else { "/input".to_owned() };
        faults.extend(
            contract
                .input
                .validate(&input)
                .into_iter()
                .map(|fault| Fault { pointer: format!("{prefix}{}", fault.pointer), ..fault }),
        );
        units.push((contract, Arc::new(input)));
    }
    if faults.is_empty() { Ok(units) } else { Err(Refusal::InputInvalid(faults)) }
}

fn request_event(request: &Request, at: Timestamp, kind: &'static str, data: Value) -> Event {
    Event { request: Some(request.id), ..Event::of_environment(&request.environment, at, kind, data) }
}
