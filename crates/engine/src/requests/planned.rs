//! Planning a request: what is asked for is held against the catalogue, and becomes what the store accepts.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use sixpack_model::channel::Overlay;
use sixpack_model::contract::Contract;
use sixpack_model::fault::Fault;
use sixpack_model::ids::{LeaseId, LineId, RequestId, TokenId, TreeId};
use sixpack_model::plan::{self, Beginning, Change, NewTree, Versions, World};
use sixpack_model::request::{Priority, Request, RequestStatus, Selection, Source, Unit};
use sixpack_model::stock::RuleName;
use sixpack_model::typecheck::{check_criteria, check_preference};
use sixpack_storage::requests::{Idempotency, Looking, NewRequest, Quota};
use sixpack_storage::stock::StockWish;

use super::{Wanted, request_event};
use crate::joining::Kept;
use crate::mint;
use crate::refusal::Refusal;
use crate::reruns::Again;
use crate::shelf::Shelf;
use crate::stock::StockKnown;

/// A request that was held against the catalogue and is not written yet.
pub(crate) struct Planned {
    pub(crate) wanted: Wanted,
    pub(crate) source: Source,
    pub(crate) holder: String,
    pub(crate) token: TokenId,
    pub(crate) units: Vec<Accepted>,
    /// What of it was given, where defaults were filled in and stock is looked at.
    pub(crate) given: Vec<Option<Arc<Value>>>,
    pub(crate) wishes: Vec<Option<Arc<StockWish>>>,
    pub(crate) shelf: Arc<Shelf>,
    pub(crate) overlay: Overlay,
    pub(crate) now: Timestamp,
}

impl Planned {
    /// Whether all of it may be in stock.
    pub(super) fn may_be_served(&self) -> bool {
        !self.wishes.is_empty() && self.wishes.iter().all(Option::is_some)
    }

    /// Whether it asks for what making cannot promise.
    pub(super) fn needs_stock(&self) -> bool {
        self.wanted.selection.select.is_some()
    }

    /// The request, if everything comes from stock.
    pub(super) fn served_by_stock(&self, looking: Looking, idempotency: Option<Idempotency>) -> NewRequest {
        let request = request_of(self.asked(), RequestId(mint::id(self.now)), &self.units, self.now);
        let mut new = self.with_given(unplanned(request, self.now));
        new.wishes.clone_from(&self.wishes);
        NewRequest { looking, idempotency, ..new }
    }

    /// The request, if what is not in stock is made.
    pub(super) fn made(&self, stock: &StockKnown, idempotency: Option<Idempotency>) -> NewRequest {
        // What is made for a line's own input would do for the line as well.
        let line = |wish: &Option<Arc<StockWish>>| {
            wish.as_ref()?.lines.iter().find(|line| line.same_input).map(|line| line.id)
        };
        let lines: Vec<_> = self.wishes.iter().map(line).collect();
        let on = (&*self.shelf, &self.overlay);
        let asked = Asked { stock: Some(stock), ..self.asked() };
        let new = self.with_given(new_request(asked, &self.units, &lines, on, self.now));
        NewRequest { idempotency, wishes: self.wishes.clone(), ..new }
    }

    /// The request with what was left open: another dataset may be looked for when one cannot be handed over.
    fn with_given(&self, mut new: NewRequest) -> NewRequest {
        for (unit, given) in new.request.units.iter_mut().zip(&self.given) {
            unit.given.clone_from(given);
        }
        new
    }

    fn asked(&self) -> Asked<'_> {
        Asked {
            stock: None,
            environment: &self.wanted.environment,
            source: self.wanted.source,
            selection: self.wanted.selection.clone(),
            refills: None,
            again: None,
            listed: self.wanted.listed,
            ttl_ms: self.wanted.ttl_ms,
            holder: self.holder.clone(),
            token: self.token,
            priority: self.wanted.priority,
            channel: self.wanted.channel.clone(),
            timeout_ms: self.wanted.timeout_ms,
        }
    }
}

/// Everything about a request but what it asks for.
pub(crate) struct Asked<'a> {
    pub(crate) environment: &'a str,
    /// What is kept, if children of what is made may be taken from there.
    pub(crate) stock: Option<&'a StockKnown>,
    pub(crate) source: Source,
    pub(crate) selection: Selection,
    /// The stock rule that it refills.
    pub(crate) refills: Option<RuleName>,
    /// The dataset that it asks for again.
    pub(crate) again: Option<&'a Again>,
    pub(crate) listed: bool,
    pub(crate) ttl_ms: u64,
    pub(crate) holder: String,
    pub(crate) token: TokenId,
    pub(crate) priority: Priority,
    pub(crate) channel: Option<String>,
    pub(crate) timeout_ms: u64,
}

/// A request with the first decision about each of its datasets; `lines` says in which stock line each could be kept.
pub(crate) fn new_request(
    asked: Asked<'_>,
    units: &[Accepted],
    lines: &[Option<LineId>],
    (shelf, overlay): (&Shelf, &Overlay),
    now: Timestamp,
) -> NewRequest {
    let (again, stock) = (asked.again, asked.stock);
    let request = request_of(asked, RequestId(mint::id(now)), units, now);
    let trees: Vec<Change> = (0u32..)
        .zip(units)
        .map(|(unit, accepted)| {
            let line = lines.get(unit as usize).copied().flatten();
            let beginning = beginning_of(&request);
            change_in(
                &request,
                unit,
                accepted,
                Outlook { shelf, stock, line, now },
                (overlay, again, beginning),
            )
        })
        .collect();
    NewRequest { trees, looking: Looking::Anywhere, ..unplanned(request, now) }
}

/// A request for one dataset that is there already, to be kept in a line.
pub(crate) fn new_import(
    asked: Asked<'_>,
    accepted: Accepted,
    output: Arc<Value>,
    (shelf, line): (&Shelf, LineId),
    now: Timestamp,
) -> NewRequest {
    let units = [accepted];
    let request = request_of(asked, RequestId(mint::id(now)), &units, now);
    let on = Outlook { shelf, stock: None, line: Some(line), now };
    let beginning = Beginning::Import(output);
    let change = change_in(&request, 0, &units[0], on, (&Overlay::default(), None, beginning));
    NewRequest { trees: vec![change], looking: Looking::Anywhere, ..unplanned(request, now) }
}

/// What a dataset is begun upon.
#[derive(Clone, Copy)]
pub(crate) struct Outlook<'a> {
    /// The contracts.
    pub(crate) shelf: &'a Shelf,
    /// What is kept, if children may be taken from there.
    pub(crate) stock: Option<&'a StockKnown>,
    /// The stock line that it could be kept in.
    pub(crate) line: Option<LineId>,
    /// The store's time.
    pub(crate) now: Timestamp,
}

/// The first decision about a dataset of a request that uses deployed suppliers only.
pub(crate) fn first_change(request: &Request, unit: u32, accepted: &Accepted, on: Outlook<'_>) -> Change {
    change_in(request, unit, accepted, on, (&Overlay::default(), None, beginning_of(request)))
}

fn change_in(
    request: &Request,
    unit: u32,
    (contract, input): &Accepted,
    on: Outlook<'_>,
    (overlay, again, beginning): (&Overlay, Option<&Again>, Beginning),
) -> Change {
    let Outlook { shelf, stock, line, now } = on;
    // What a channel makes is for those who name it, and what is asked for again is made like the first time.
    let takes_stock = request.source == Source::StockFirst
        && request.channel.is_none()
        && again.is_none()
        && stock.is_some();
    let left_ms = u64::try_from(request.deadline_at.duration_since(now).as_millis()).unwrap_or(0);
    let own_ms = own_timeout_ms(contract).filter(|own_ms| *own_ms < left_ms);
    let new = NewTree {
        id: TreeId(mint::id(now)),
        environment: Arc::from(request.environment.as_str()),
        request: request.id,
        unit,
        contract: Arc::clone(contract),
        input: Arc::clone(input),
        priority: request.priority,
        channel: request.channel.as_deref().map(Arc::from),
        overlay: overlay.clone(),
        line,
        given: again.map(|again| again.versions.clone()).unwrap_or_default(),
        seed: again.map_or_else(mint::seed, |again| again.seed),
        unique: mint::unique(),
        until: own_ms.map(|own_ms| later(now, own_ms)),
        beginning,
        takes_stock,
    };
    let kept = stock.map(|stock| Kept { shelf, stock, environment: &request.environment });
    let versions: &dyn Versions = kept.as_ref().map_or(shelf, |kept| kept);
    plan::begin(new, World { versions, now, chance: mint::chance() })
}

/// How the datasets of a request come to their data.
fn beginning_of(request: &Request) -> Beginning {
    match request.source {
        Source::FindFirst => Beginning::Find,
        Source::StockFirst | Source::Fresh | Source::StockOnly => Beginning::Make,
    }
}

/// A request of which nothing is planned.
fn unplanned(request: Request, now: Timestamp) -> NewRequest {
    let mut told = json!({ "holder": request.holder });
    if let Some(channel) = &request.channel {
        told["channel"] = Value::from(channel.as_str());
    }
    if let Some(of) = request.rerun_of {
        told["rerun_of"] = Value::from(of.to_string());
    }
    if let Some(rule) = &request.refills {
        told["rule"] = Value::from(rule.as_str());
    }
    let event = request_event(&request, now, "request.building", told);
    let leases = request.units.iter().map(|_| LeaseId(mint::id(now))).collect();
    let looking = Looking::Fresh;
    NewRequest {
        request,
        trees: Vec::new(),
        wishes: Vec::new(),
        looking,
        leases,
        idempotency: None,
        quota: Quota::UNLIMITED,
        event,
    }
}

fn request_of(asked: Asked<'_>, id: RequestId, units: &[Accepted], now: Timestamp) -> Request {
    Request {
        id,
        environment: asked.environment.to_owned(),
        units: units
            .iter()
            .map(|(contract, input)| Unit {
                contract: contract.name.clone(),
                version: contract.version,
                input: Arc::clone(input),
                given: None,
            })
            .collect(),
        listed: asked.listed,
        source: asked.source,
        selection: asked.selection,
        refills: asked.refills,
        rerun_of: asked.again.map(|again| again.of),
        ttl_ms: asked.ttl_ms,
        holder: asked.holder,
        token: asked.token,
        priority: asked.priority,
        channel: asked.channel,
        status: RequestStatus::Building,
        revision: 1,
        ready: 0,
        created_at: now,
        deadline_at: later(now, timeout_ms(asked.timeout_ms, units)),
        ended_at: None,
        failure: None,
    }
}

/// The time that a request has: what the consumer allows, or less when no dataset of it may take so long.
fn timeout_ms(allowed_ms: u64, units: &[Accepted]) -> u64 {
    let own: Option<Vec<u64>> = units.iter().map(|(contract, _)| own_timeout_ms(contract)).collect();
    let longest = own.and_then(|own| own.into_iter().max());
    longest.map_or(allowed_ms, |longest| longest.min(allowed_ms))
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
pub(crate) type Accepted = (Arc<Contract>, Arc<Value>);

/// Finds the contract of each dataset and holds its input against it; all faults at once.
pub(super) fn accept_units(wanted: &Wanted, shelf: &Shelf) -> Result<Vec<Accepted>, Refusal> {
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

/// What of each input was given, where that is less than what it is made from; nothing when nothing comes from stock.
pub(super) fn given_of(
    wanted: &Wanted,
    units: &[Accepted],
    wishes: &[Option<Arc<StockWish>>],
) -> Vec<Option<Arc<Value>>> {
    let mut all: Vec<Option<Arc<Value>>> = Vec::with_capacity(wishes.len());
    for (place, (_, full)) in units.iter().take(wishes.len()).enumerate() {
        if let (false, Some(first)) = (wanted.listed, all.first()) {
            all.push(first.clone());
            continue;
        }
        let given = &wanted.units[place].1;
        all.push((*given != **full).then(|| Arc::new(given.clone())));
    }
    all
}

/// Holds what is preferred against the inputs of the contract.
pub(super) fn accept_preference(wanted: &Wanted, units: &[Accepted]) -> Result<(), Refusal> {
    let (Some(prefer), Some((contract, _))) = (&wanted.selection.prefer, units.first()) else {
        return Ok(());
    };
    let Value::Object(prefer) = &**prefer else { return Ok(()) };
    let given = &wanted.units.first().expect("a request asks for at least one dataset").1;
    let faults = check_preference(&contract.input, given, prefer);
    if faults.is_empty() {
        return Ok(());
    }
    Err(Refusal::Invalid(faults.into_iter().map(|fault| fault.under("/prefer")).collect()))
}

/// Holds criteria against what the contract lets its datasets be chosen by.
pub(super) fn accept_criteria(wanted: &Wanted, units: &[Accepted]) -> Result<(), Refusal> {
    let (Some(select), Some((contract, _))) = (&wanted.selection.select, units.first()) else {
        return Ok(());
    };
    let faults = check_criteria(&contract.output, &Value::Object(Map::clone(select)));
    if faults.is_empty() {
        return Ok(());
    }
    Err(Refusal::Invalid(faults.into_iter().map(|fault| fault.under("/select")).collect()))
}
