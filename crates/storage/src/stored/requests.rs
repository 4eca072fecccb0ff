//! What a request asks for, as JSON.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sixpack_model::name::NameError;
use sixpack_model::request::{Selection, Unit};

/// What is wished beyond contract and input; what is absent is not written.
#[derive(Serialize, Deserialize)]
pub(crate) struct StoredSelection<'a> {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    prefer: Option<Cow<'a, Value>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    select: Option<Cow<'a, Map<String, Value>>>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    require_fresh: bool,
}

/// What is wished as it is stored; `None` when anything will do.
pub(crate) fn selection_text(selection: &Selection) -> Option<String> {
    if *selection == Selection::default() {
        return None;
    }
    let stored = StoredSelection {
        prefer: selection.prefer.as_deref().map(Cow::Borrowed),
        select: selection.select.as_deref().map(Cow::Borrowed),
        require_fresh: selection.require_fresh,
    };
    Some(serde_json::to_string(&stored).expect("JSON values are always JSON"))
}

impl StoredSelection<'_> {
    pub(crate) fn into_selection(self) -> Selection {
        Selection {
            prefer: self.prefer.map(|prefer| Arc::new(prefer.into_owned())),
            select: self.select.map(|select| Arc::new(select.into_owned())),
            require_fresh: self.require_fresh,
        }
    }
}

/// Units as they are stored; equal neighbours are written once.
#[derive(Serialize, Deserialize)]
pub(crate) struct StoredUnits {
    contract: String,
    version: u32,
    input: Arc<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    given: Option<Arc<Value>>,
    count: u32,
}

/// Units as they are stored.
pub(crate) fn units_text(units: &[Unit]) -> String {
    let mut stored: Vec<StoredUnits> = Vec::new();
    for (place, unit) in units.iter().enumerate() {
        match stored.last_mut() {
            Some(last) if units[place - 1] == *unit => last.count += 1,
            _ => stored.push(StoredUnits {
                contract: unit.contract.to_string(),
                version: unit.version,
                input: Arc::clone(&unit.input),
                given: unit.given.clone(),
                count: 1,
            }),
        }
    }
    serde_json::to_string(&stored).expect("text, numbers and JSON values are always JSON")
}

/// Every unit, the equal ones as often as they were asked for.
pub(crate) fn units_of(stored: Vec<StoredUnits>) -> Result<Vec<Unit>, NameError> {
    let mut units = Vec::new();
    for StoredUnits { contract, version, input, given, count } in stored {
        let contract = contract.parse()?;
        units.extend(std::iter::repeat_n(Unit { contract, version, input, given }, count as usize));
    }
    Ok(units)
}
