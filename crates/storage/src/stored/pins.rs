//! Sets of pinned versions, remembered by their number: they never change, and the same few are read over and over.

use std::collections::{BTreeMap, HashMap};
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sixpack_model::name::{ContractName, NameError};

/// A set of pinned versions.
pub(crate) type Pins = Arc<BTreeMap<ContractName, u32>>;

/// Sets that are remembered; beyond, all are read again.
const REMEMBERED: usize = 1_000;

/// Sets that were read.
#[derive(Default)]
pub(crate) struct PinsRead(Mutex<HashMap<i64, Pins>>);

impl PinsRead {
    /// The set of this number, if it is remembered.
    pub(crate) fn get(&self, number: i64) -> Option<Pins> {
        self.lock().get(&number).cloned()
    }

    /// Remembers a set as it is stored; returns it.
    pub(crate) fn keep(&self, number: i64, stored: BTreeMap<String, u32>) -> Result<Pins, NameError> {
        let pins: BTreeMap<ContractName, u32> = stored
            .into_iter()
            .map(|(name, version)| Ok((ContractName::from_str(&name)?, version)))
            .collect::<Result<_, NameError>>()?;
        let pins = Arc::new(pins);
        let mut kept = self.lock();
        if kept.len() >= REMEMBERED {
            kept.clear();
        }
        kept.insert(number, Arc::clone(&pins));
        Ok(pins)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<i64, Pins>> {
        // Whole entries: a panic elsewhere leaves nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
