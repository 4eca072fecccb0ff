//! Statistics: how contracts have been doing, and what of the limits is taken.

use std::time::Duration;

use sixpack_model::contract::ContractKind;
use sixpack_model::limits::{STATISTICS_LISTED_SAMPLES, STATISTICS_SAMPLES};
use sixpack_model::name::ContractName;
use sixpack_model::statistics::Statistics;
use sixpack_storage::requests::QuotaTaken;

use crate::Engine;
use crate::caller::Caller;
use crate::refusal::Refusal;
use crate::retention::Retention;

/// What an environment and the caller may have, and how long things are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitsView {
    /// How many leases there are, those of open requests included.
    pub taken: QuotaTaken,
    /// How many leases a token may have.
    pub leases_per_token: u64,
    /// How many leases all tokens of an environment may have.
    pub leases_per_environment: u64,
    /// How long a task may wait for a supplier to connect.
    pub offline_grace: Duration,
    /// How long what has ended is kept.
    pub retention: Retention,
}

impl Engine {
    /// How one contract of the catalogue has been doing.
    pub async fn contract_statistics(
        &self,
        caller: &Caller,
        environment: &str,
        name: &ContractName,
    ) -> Result<Statistics, Refusal> {
        let shelf = self.visible_shelf(caller, environment).await?;
        let Some(entry) = shelf.entry(name) else {
            return Err(shelf.requestable(name).err().unwrap_or_else(|| Refusal::unknown("contract", name)));
        };
        let kind = entry.contract.kind();
        let of = std::slice::from_ref(name);
        let samples = self.store().samples(environment, of, STATISTICS_SAMPLES).await?;
        Ok(samples.into_iter().next().map(|samples| Statistics::of(kind, samples)).unwrap_or_default())
    }

    /// How the contracts of an environment have been doing, by name behind `after`, at most so many; told from fewer samples than
    /// one alone.
    pub async fn statistics(
        &self,
        caller: &Caller,
        environment: &str,
        after: Option<&ContractName>,
        limit: u32,
    ) -> Result<Vec<(ContractName, Statistics)>, Refusal> {
        let shelf = self.visible_shelf(caller, environment).await?;
        let mut listed: Vec<(ContractName, ContractKind)> = shelf
            .entries()
            .filter(|(name, _)| after.is_none_or(|after| *name > after))
            .map(|(name, entry)| (name.clone(), entry.contract.kind()))
            .collect();
        listed.sort_by(|one, other| one.0.cmp(&other.0));
        listed.truncate(limit as usize);
        let names: Vec<ContractName> = listed.iter().map(|(name, _)| name.clone()).collect();
        let samples = self.store().samples(environment, &names, STATISTICS_LISTED_SAMPLES).await?;
        let told = listed.into_iter().zip(samples);
        Ok(told.map(|((name, kind), samples)| (name, Statistics::of(kind, samples))).collect())
    }

    /// What the caller and an environment may have, and what of it is taken.
    pub async fn limits(&self, caller: &Caller, environment: &str) -> Result<LimitsView, Refusal> {
        self.visible_shelf(caller, environment).await?;
        let settings = &self.inner.settings;
        Ok(LimitsView {
            taken: self.store().quota_taken(caller.token, environment).await?,
            leases_per_token: settings.leases_per_token,
            leases_per_environment: settings.leases_per_environment,
            offline_grace: settings.offline_grace,
            retention: settings.retention,
        })
    }
}
