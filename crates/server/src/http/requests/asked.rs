//! What a consumer asks for, as it is sent.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value};
use sixpack_engine::{Rerun, Wanted};
use sixpack_model::fault::Fault;
use sixpack_model::ids::DatasetId;
use sixpack_model::limits::LINE_BYTES;
use sixpack_model::name::{ContractName, EnvironmentName, NameError, segment};
use sixpack_model::request::{Priority, Selection, Source};
use sixpack_model::text::line;
use utoipa::ToSchema;

use crate::edge::check::{Check, Faults};
use crate::edge::integer::Int;

/// Where a consumer asks who does not say.
const ENVIRONMENT_DEFAULT: &str = "default";

/// Datasets of different contracts in one request: a test needs a handful, a suite asks several times.
pub(in crate::http) const ITEMS_MAX: usize = 100;

/// Half an hour: longer than most test runs, short enough that what is forgotten does not stay long.
const TTL_DEFAULT_S: i64 = 1_800;

/// Five minutes: what takes longer is asked for with a time of its own.
const TIMEOUT_DEFAULT_S: i64 = 300;

/// Seconds of a lease or of a request: at most a day.
pub(in crate::http) type SpanS = Int<1, 86_400>;

/// What a consumer asks for: `contract`, or `items`, or `rerun_of`.
#[derive(Deserialize, ToSchema)]
#[schema(as = NewRequest)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct NewRequestJson {
    /// Where; when absent `default`, and with `rerun_of` where that dataset is.
    environment: Option<String>,
    /// `domain/name`, always its newest version.
    contract: Option<String>,
    /// What it is made from; defaults of the contract's schema are filled in.
    #[schema(value_type = Option<Object>)]
    input: Option<Map<String, Value>>,
    /// Different contracts, all or nothing, in place of `contract`, `input` and `count`.
    #[schema(min_items = 1, max_items = 100)]
    items: Option<Vec<AskedUnitJson>>,
    /// How many datasets of one contract and input, all or nothing; 1 when absent.
    #[schema(inline)]
    count: Option<Int<1, 1000>>,
    /// A dataset that was made, perhaps long ago, asked for again: same version, input and seed, and same versions of
    /// everything below. In place of `contract`, `input`, `items` and `count`.
    rerun_of: Option<String>,
    /// `stock_first` when absent; with `rerun_of` always `fresh`. `find_first` needs capabilities that offer `find`.
    source: Option<SourceJson>,
    /// Properties of the input that rank what is in stock, the one that has most of them first; they exclude nothing.
    #[schema(value_type = Option<Object>)]
    prefer: Option<Map<String, Value>>,
    /// Criteria on what the output marks `x-selectable`: a scalar, or a list of scalars of which any will do. Such a request
    /// is served from stock or not at all.
    #[schema(value_type = Option<Object>)]
    select: Option<Map<String, Value>>,
    /// `fresh`: what is in stock is handed over only when every service has said in time that it holds; while one cannot be
    /// asked, the request waits.
    require: Option<RequireJson>,
    lease: Option<LeaseTermsJson>,
    /// Who uses it, for people; the name of the token when absent.
    #[schema(max_length = 200)]
    holder: Option<String>,
    /// Total time; 300 when absent.
    #[schema(inline)]
    timeout_s: Option<SpanS>,
    /// `pipeline` when absent.
    priority: Option<PriorityJson>,
    /// A channel of suppliers under development: what they offer takes the place of what is deployed. With `rerun_of`
    /// that of the dataset when absent.
    #[schema(max_length = 63)]
    channel: Option<String>,
}

/// One dataset of several.
#[derive(Deserialize, ToSchema)]
#[schema(as = NewRequestItem)]
#[serde(deny_unknown_fields)]
struct AskedUnitJson {
    contract: String,
    #[schema(value_type = Option<Object>)]
    input: Option<Map<String, Value>>,
}

/// How long the leases last.
#[derive(Deserialize, ToSchema)]
#[schema(as = LeaseTerms)]
#[serde(deny_unknown_fields)]
struct LeaseTermsJson {
    /// From the moment of fulfilment; 1800 when absent.
    #[schema(inline)]
    ttl_s: Option<SpanS>,
}

/// Where the data may come from.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[schema(as = Source)]
#[serde(rename_all = "snake_case")]
enum SourceJson {
    StockFirst,
    StockOnly,
    Fresh,
    /// What the service has already and nobody is using, else made; nothing from stock. Of capabilities that offer `find`.
    FindFirst,
}

/// What the evidence has to be.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[schema(as = Require)]
#[serde(rename_all = "snake_case")]
enum RequireJson {
    Fresh,
}

/// Who waits.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[schema(as = Priority)]
#[serde(rename_all = "snake_case")]
enum PriorityJson {
    Pipeline,
    Person,
}

impl Check for NewRequestJson {
    fn check(&self, faults: &mut Faults) {
        let environment = self.environment.as_deref().unwrap_or(ENVIRONMENT_DEFAULT);
        if let Err(error) = environment.parse::<EnvironmentName>() {
            faults.add("environment", "name_pattern", error.to_string());
        }
        match (&self.contract, &self.items, &self.rerun_of) {
            (_, _, Some(of)) => self.check_rerun(of, faults),
            (Some(_), Some(_), None) => {
                faults.add("items", "exclusive", "`contract` and `items` exclude each other");
            }
            (None, None, None) => {
                faults.add("contract", "required", "`contract`, `items` or `rerun_of` is required");
            }
            (Some(contract), None, None) => check_contract("contract", contract, faults),
            (None, Some(items), None) => self.check_items(items, faults),
        }
        self.check_selection(faults);
        if let Some(Err(fault)) = self.holder.as_deref().map(clean_holder) {
            faults.add("holder", fault.code, fault.message);
        }
        if let Some(Err(error)) = self.channel.as_deref().map(check_channel) {
            faults.add("channel", "name_pattern", error.to_string());
        }
    }
}

/// What a consumer asks for, as the engine takes it.
pub(super) enum Asked {
    /// Datasets of contracts.
    Anew(Wanted),
    /// A dataset that was made before.
    Again(Rerun),
}

impl NewRequestJson {
    /// What chooses among datasets in stock goes with a request for one contract that may come from there.
    fn check_selection(&self, faults: &mut Faults) {
        let selects = [("prefer", self.prefer.is_some()), ("select", self.select.is_some())];
        for (name, _) in selects.into_iter().filter(|(_, given)| *given) {
            if self.items.is_some() {
                faults.add(name, "exclusive", format!("`{name}` and `items` exclude each other"));
            }
            if self.channel.is_some() {
                faults.add(
                    name,
                    "exclusive",
                    format!("`{name}` and `channel` exclude each other: no channel has stock"),
                );
            }
            let beside_stock = match self.source {
                Some(SourceJson::Fresh) => Some("fresh"),
                Some(SourceJson::FindFirst) => Some("find_first"),
                Some(SourceJson::StockFirst | SourceJson::StockOnly) | None => None,
            };
            if let Some(source) = beside_stock {
                let message = format!("`{name}` chooses from stock, and `source` is `{source}`");
                faults.add(name, "exclusive", message);
            }
        }
        if self.channel.is_some() && matches!(self.source, Some(SourceJson::StockOnly)) {
            faults.add(
                "source",
                "exclusive",
                "`stock_only` and `channel` exclude each other: no channel has stock",
            );
        }
    }

    fn check_rerun(&self, of: &str, faults: &mut Faults) {
        if let Err(error) = of.parse::<DatasetId>() {
            faults.add("rerun_of", "invalid_value", error.to_string());
        }
        let given = [
            ("contract", self.contract.is_some()),
            ("input", self.input.is_some()),
            ("items", self.items.is_some()),
            ("count", self.count.is_some()),
        ];
        for (name, _) in given.into_iter().filter(|(_, given)| *given) {
            faults.add(name, "exclusive", format!("`{name}` and `rerun_of` exclude each other"));
        }
        if !matches!(self.source, Some(SourceJson::Fresh) | None) {
            let message =
                "a dataset that is asked for again is always made: leave `source` out, or ask for `fresh`";
            faults.add("source", "exclusive", message);
        }
    }

    fn check_items(&self, items: &[AskedUnitJson], faults: &mut Faults) {
        for (name, given) in [("input", self.input.is_some()), ("count", self.count.is_some())] {
            if given {
                faults.add(name, "exclusive", format!("`{name}` and `items` exclude each other"));
            }
        }
        if items.is_empty() {
            faults.add("items", "range", format!("must have from 1 to {ITEMS_MAX} entries"));
        }
        faults.too_many("items", items.len(), ITEMS_MAX);
        faults.within("items", |faults| {
            for (index, item) in items.iter().enumerate() {
                faults.within(index, |faults| check_contract("contract", &item.contract, faults));
            }
        });
    }

    /// What was checked, as the engine takes it.
    pub(super) fn into_asked(self, idempotency: Option<(String, [u8; 32])>) -> Asked {
        match self.rerun_of.as_deref().map(|of| of.parse().expect("the id was checked")) {
            Some(of) => Asked::Again(self.into_rerun(of, idempotency)),
            None => Asked::Anew(self.into_wanted(idempotency)),
        }
    }

    fn into_rerun(self, of: DatasetId, idempotency: Option<(String, [u8; 32])>) -> Rerun {
        let (ttl_ms, holder, timeout_ms, priority) = self.terms();
        let (environment, channel) = (self.environment, self.channel);
        Rerun { of, environment, channel, ttl_ms, holder, timeout_ms, priority, idempotency }
    }

    fn into_wanted(self, idempotency: Option<(String, [u8; 32])>) -> Wanted {
        let (ttl_ms, holder, timeout_ms, priority) = self.terms();
        let listed = self.items.is_some();
        let count = self.count.map_or(1, Int::get);
        let units = match self.items {
            Some(items) => items.into_iter().map(|item| (name(&item.contract), input(item.input))).collect(),
            None => {
                let contract = name(&self.contract.expect("a request without items has a contract"));
                let input = input(self.input);
                (0..count).map(|_| (contract.clone(), input.clone())).collect()
            }
        };
        Wanted {
            environment: self.environment.unwrap_or_else(|| ENVIRONMENT_DEFAULT.to_owned()),
            units,
            listed,
            source: match self.source {
                Some(SourceJson::Fresh) => Source::Fresh,
                Some(SourceJson::StockOnly) => Source::StockOnly,
                Some(SourceJson::FindFirst) => Source::FindFirst,
                Some(SourceJson::StockFirst) | None => Source::StockFirst,
            },
            selection: Selection {
                prefer: self.prefer.map(|prefer| Arc::new(Value::Object(prefer))),
                select: self.select.map(Arc::new),
                require_fresh: matches!(self.require, Some(RequireJson::Fresh)),
            },
            ttl_ms,
            holder,
            timeout_ms,
            priority,
            channel: self.channel,
            idempotency,
        }
    }

    /// The length of the leases, who uses them, the total time, and who waits.
    fn terms(&self) -> (u64, String, u64, Priority) {
        let ttl_s = self.lease.as_ref().and_then(|lease| lease.ttl_s).map_or(TTL_DEFAULT_S, Int::get);
        let holder = self.holder.as_deref().map(|holder| clean_holder(holder).expect("it was checked"));
        let priority = match self.priority {
            Some(PriorityJson::Person) => Priority::Person,
            Some(PriorityJson::Pipeline) | None => Priority::Pipeline,
        };
        let timeout_s = self.timeout_s.map_or(TIMEOUT_DEFAULT_S, Int::get);
        (ms(ttl_s), holder.unwrap_or_default(), ms(timeout_s), priority)
    }
}

/// Refuses what cannot be the name of a channel.
pub(in crate::http) fn check_channel(channel: &str) -> Result<(), NameError> {
    segment("the name of a channel", channel)
}

fn check_contract(field: &str, contract: &str, faults: &mut Faults) {
    if let Err(error) = contract.parse::<ContractName>() {
        faults.add(field, "name_pattern", error.to_string());
    }
}

fn clean_holder(holder: &str) -> Result<String, Fault> {
    line("/holder", holder, LINE_BYTES)
}

fn name(contract: &str) -> ContractName {
    contract.parse().expect("the name was checked")
}

fn input(input: Option<Map<String, Value>>) -> Value {
    Value::Object(input.unwrap_or_default())
}

fn ms(seconds: i64) -> u64 {
    u64::try_from(seconds).expect("spans are not negative") * 1000
}
