//! Every operation of the API as one method, over the wire's types.

use reqwest::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Client;
use crate::Error;
use crate::http::Call;
use crate::wire;

/// Requests.
impl Client {
    /// Makes a request and waits up to `wait_s` (0 to 60) for its end. Repeating the call with the same `key` and body
    /// answers with the same request.
    pub async fn create_request(
        &self,
        request: &wire::NewRequest,
        key: &str,
        wait_s: u64,
    ) -> Result<wire::Request, Error> {
        let call =
            self.post(&["v1", "requests"]).wait_s(wait_s).header("idempotency-key", key)?.json(request)?;
        self.read(&call, "the request").await
    }

    /// Reads a request. With `wait_s` it waits until the request ends, or its revision is above `after`
    /// (`None`: the one at the time of the call).
    pub async fn get_request(
        &self,
        id: &str,
        wait_s: u64,
        after: Option<u64>,
    ) -> Result<wire::Request, Error> {
        let mut call = self.get(&["v1", "requests", id]).wait_s(wait_s);
        if let Some(after) = after {
            call = call.pair("after", &after.to_string());
        }
        self.read(&call, "the request").await
    }

    /// Lists requests, newest first.
    pub async fn requests(&self, filter: &wire::RequestFilter) -> Result<wire::Page<wire::Request>, Error> {
        self.list(&["v1", "requests"], filter).await
    }

    /// Cancels a request; one that has ended is answered as it is.
    pub async fn cancel_request(&self, id: &str) -> Result<wire::Request, Error> {
        self.read(&self.post(&["v1", "requests", id, "cancel"]), "the request").await
    }
}

/// Leases, datasets, debts.
impl Client {
    /// Lists leases, newest first.
    pub async fn leases(&self, filter: &wire::LeaseFilter) -> Result<wire::Page<wire::Lease>, Error> {
        self.list(&["v1", "leases"], filter).await
    }

    /// Reads a lease.
    pub async fn lease(&self, id: &str) -> Result<wire::Lease, Error> {
        self.read(&self.get(&["v1", "leases", id]), "the lease").await
    }

    /// Renews a lease. Never shortens it.
    pub async fn renew_lease(&self, id: &str, renewal: &wire::Renewal) -> Result<wire::Lease, Error> {
        self.read(&self.post(&["v1", "leases", id, "renew"]).json(renewal)?, "the lease").await
    }

    /// Reads a lease, after waiting up to `wait_s` (0 to 60) for the end of an extension that is under way.
    pub async fn wait_for_extension(&self, id: &str, wait_s: u64) -> Result<wire::Lease, Error> {
        self.read(&self.get(&["v1", "leases", id]).wait_s(wait_s), "the lease").await
    }

    /// Advances a leased dataset by one more contract, and waits up to `wait_s` (0 to 60) for the end of that. Repeating it
    /// with a [`number`](wire::NewExtension::number) answers the same; without one it is sent once and not repeated.
    pub async fn extend_lease(
        &self,
        id: &str,
        extension: &wire::NewExtension,
        wait_s: u64,
    ) -> Result<wire::Lease, Error> {
        let call = self.post(&["v1", "leases", id, "extend"]).wait_s(wait_s).json(extension)?;
        match extension.number {
            Some(_) => self.read(&call, "the lease").await,
            None => {
                let answer = self.http.send_once(&call).await.map_err(|(_, error)| error)?;
                answer.read("the lease")
            }
        }
    }

    /// Gives a dataset back; repeating it with the same fence answers the same.
    pub async fn release_lease(&self, id: &str, release: &wire::Release) -> Result<wire::Lease, Error> {
        self.read(&self.post(&["v1", "leases", id, "release"]).json(release)?, "the lease").await
    }

    /// Takes a lease away from its holder: for administrators, and suppliers of a domain that has a part in the dataset.
    /// Repeating it answers the same, with the first reason.
    pub async fn revoke_lease(&self, id: &str, revocation: &wire::Revocation) -> Result<wire::Lease, Error> {
        self.read(&self.post(&["v1", "leases", id, "revoke"]).json(revocation)?, "the lease").await
    }

    /// Asks every service about a leased dataset, and says what has become of it since it was handed over. Takes up to about
    /// three seconds.
    pub async fn diagnose_lease(&self, id: &str) -> Result<wire::Diagnosis, Error> {
        self.read(&self.post(&["v1", "leases", id, "diagnose"]), "the diagnosis").await
    }

    /// Lists roots of datasets, newest first.
    pub async fn datasets(&self, filter: &wire::DatasetFilter) -> Result<wire::Page<wire::Dataset>, Error> {
        self.list(&["v1", "datasets"], filter).await
    }

    /// Reads a dataset or one of its parts, with the tree below it and its timeline.
    pub async fn dataset(&self, id: &str) -> Result<wire::Dataset, Error> {
        self.read(&self.get(&["v1", "datasets", id]), "the dataset").await
    }

    /// Lists datasets in quarantine, newest first.
    pub async fn quarantine(
        &self,
        filter: &wire::QuarantineFilter,
    ) -> Result<wire::Page<wire::Quarantined>, Error> {
        self.list(&["v1", "quarantine"], filter).await
    }

    /// Decides what becomes of a dataset in quarantine: for administrators, and suppliers of a domain that has a part in it.
    /// Answers with the dataset as it stands then; one that is asked about again is `checking`.
    pub async fn resolve_dataset(&self, id: &str, resolve: &wire::Resolve) -> Result<wire::Dataset, Error> {
        self.read(&self.post(&["v1", "datasets", id, "resolve"]).json(resolve)?, "the dataset").await
    }

    /// Lists effects that could not be undone.
    pub async fn debts(&self, filter: &wire::DebtFilter) -> Result<wire::Page<wire::Debt>, Error> {
        self.list(&["v1", "debts"], filter).await
    }

    /// Says that somebody has looked after an effect that could not be undone: for administrators, and suppliers of a domain that has a
    /// part in the dataset. Answers with the part as it stands then. Repeated, it changes nothing: what was resolved first stays.
    pub async fn resolve_debt(&self, id: &str, resolve: &wire::ResolveDebt) -> Result<wire::Dataset, Error> {
        self.read(&self.post(&["v1", "debts", id, "resolve"]).json(resolve)?, "the dataset").await
    }
}

/// Catalogue and scenarios.
impl Client {
    /// Lists environments by name.
    pub async fn environments(
        &self,
        filter: &wire::PageFilter,
    ) -> Result<wire::Page<wire::Environment>, Error> {
        self.list(&["v1", "environments"], filter).await
    }

    /// Searches the catalogue of an environment.
    pub async fn contracts(
        &self,
        environment: &str,
        filter: &wire::ContractFilter,
    ) -> Result<wire::Page<wire::ContractSummary>, Error> {
        self.list(&["v1", "environments", environment, "contracts"], filter).await
    }

    /// Reads the newest version of the contract `domain/name`.
    pub async fn contract(&self, environment: &str, name: &str) -> Result<wire::Contract, Error> {
        let (domain, name) = split_name(name)?;
        let call = self.get(&["v1", "environments", environment, "contracts", domain, name]);
        self.read(&call, "the contract").await
    }

    /// Tells how the contract `domain/name` has been doing.
    pub async fn contract_statistics(
        &self,
        environment: &str,
        name: &str,
    ) -> Result<wire::ContractStatistics, Error> {
        let (domain, name) = split_name(name)?;
        let call = self.get(&["v1", "environments", environment, "contracts", domain, name, "statistics"]);
        self.read(&call, "the statistics").await
    }

    /// Reads one version of the contract `domain/name`.
    pub async fn contract_version(
        &self,
        environment: &str,
        name: &str,
        version: u32,
    ) -> Result<wire::Contract, Error> {
        let (domain, name) = split_name(name)?;
        let version = version.to_string();
        let call =
            self.get(&["v1", "environments", environment, "contracts", domain, name, "versions", &version]);
        self.read(&call, "the contract").await
    }

    /// Reads the contract `domain/name` as requests see it that name a channel: its newest version, or the given one.
    pub async fn contract_in(
        &self,
        environment: &str,
        channel: &str,
        name: &str,
        version: Option<u32>,
    ) -> Result<wire::Contract, Error> {
        let (domain, name) = split_name(name)?;
        let version = version.map(|version| version.to_string());
        let mut segments = vec!["v1", "environments", environment, "contracts", domain, name];
        if let Some(version) = &version {
            segments.extend(["versions", version]);
        }
        self.read(&self.get(&segments).pair("channel", channel), "the contract").await
    }

    /// Applies (or with `dry_run` checks) several files of scenarios and of stock rules, all or nothing.
    pub async fn apply(&self, environment: &str, apply: &wire::Apply) -> Result<wire::Applied, Error> {
        self.read(&self.post(&["v1", "environments", environment, "apply"]).json(apply)?, "the answer").await
    }

    /// Applies (or with `dry_run` checks) the scenario `domain/name` from its YAML.
    pub async fn put_scenario(
        &self,
        environment: &str,
        name: &str,
        yaml: &str,
        dry_run: bool,
    ) -> Result<wire::AppliedScenario, Error> {
        let mut call =
            self.scenario(Method::PUT, environment, name)?.body("application/yaml", yaml.as_bytes().to_vec());
        if dry_run {
            call = call.pair("dry_run", "true");
        }
        self.read(&call, "the answer").await
    }

    /// Reads the YAML of the scenario `domain/name` as it was applied.
    pub async fn scenario_source(&self, environment: &str, name: &str) -> Result<String, Error> {
        self.http().send(&self.scenario(Method::GET, environment, name)?).await?.text("the scenario")
    }

    /// Removes the contract `domain/name` from the catalogue, when nothing depends on it any more.
    pub async fn remove_contract(&self, environment: &str, name: &str) -> Result<(), Error> {
        let (domain, name) = split_name(name)?;
        let path = ["v1", "environments", environment, "contracts", domain, name];
        self.http().send(&self.http().call(Method::DELETE, &path)).await.map(drop)
    }

    /// Deletes the scenario `domain/name`.
    pub async fn delete_scenario(&self, environment: &str, name: &str) -> Result<(), Error> {
        self.http().send(&self.scenario(Method::DELETE, environment, name)?).await.map(drop)
    }

    fn scenario(&self, method: Method, environment: &str, name: &str) -> Result<Call, Error> {
        let (domain, name) = split_name(name)?;
        Ok(self.http().call(method, &["v1", "environments", environment, "scenarios", domain, name]))
    }
}

/// Stock rules.
impl Client {
    /// Puts a stock rule in place of the one that has its name.
    pub async fn put_stock_rule(
        &self,
        environment: &str,
        name: &str,
        rule: &wire::NewStockRule,
    ) -> Result<wire::StockRule, Error> {
        self.read(&self.stock_rule(Method::PUT, environment, name).json(rule)?, "the rule").await
    }

    /// Lists stock rules by name.
    pub async fn stock_rules(
        &self,
        environment: &str,
        filter: &wire::PageFilter,
    ) -> Result<wire::Page<wire::StockRule>, Error> {
        self.list(&["v1", "environments", environment, "stock-rules"], filter).await
    }

    /// Reads one stock rule.
    pub async fn get_stock_rule(&self, environment: &str, name: &str) -> Result<wire::StockRule, Error> {
        self.read(&self.stock_rule(Method::GET, environment, name), "the rule").await
    }

    /// Tells what stock rules have had ready over the last day, by name: one call for a page of them.
    pub async fn stock_histories(
        &self,
        environment: &str,
        filter: &wire::StockHistoryFilter,
    ) -> Result<wire::Page<wire::StockHistory>, Error> {
        self.list(&["v1", "environments", environment, "stock-history"], filter).await
    }

    /// Tells what one stock rule has had ready over the last day, in at most so many points (12 to 288).
    pub async fn stock_history(
        &self,
        environment: &str,
        name: &str,
        points: u32,
    ) -> Result<wire::StockHistory, Error> {
        let call = self.get(&["v1", "environments", environment, "stock-rules", name, "history"]);
        self.read(&call.pair("points", &points.to_string()), "the history").await
    }

    /// Changes target and state of a stock rule while it is at work.
    pub async fn edit_stock_rule(
        &self,
        environment: &str,
        name: &str,
        edit: &wire::StockRuleEdit,
    ) -> Result<wire::StockRule, Error> {
        self.read(&self.stock_rule(Method::PATCH, environment, name).json(edit)?, "the rule").await
    }

    /// Deletes a stock rule. One that is not there is [`Error::Problem`], also when a repeated call finds that the first
    /// one has deleted it.
    pub async fn delete_stock_rule(&self, environment: &str, name: &str) -> Result<(), Error> {
        self.http().send(&self.stock_rule(Method::DELETE, environment, name)).await.map(drop)
    }

    /// Registers existing data of a capability as stock, all rows or none. What is there already is refused, so that the call
    /// can be repeated.
    pub async fn import(&self, environment: &str, import: &wire::NewImport) -> Result<wire::Imported, Error> {
        let call = self.post(&["v1", "environments", environment, "imports"]).json(import)?;
        self.http().send_once(&call).await.map_err(|(_, error)| error)?.read("what was imported")
    }

    /// Says what [`import`](Self::import) would say, and imports nothing: no dataset is in the answer.
    pub async fn check_import(
        &self,
        environment: &str,
        import: &wire::NewImport,
    ) -> Result<wire::Imported, Error> {
        let call = self.post(&["v1", "environments", environment, "imports"]).pair("dry_run", "true");
        let call = call.json(import)?;
        self.http().send_once(&call).await.map_err(|(_, error)| error)?.read("what would be imported")
    }

    fn stock_rule(&self, method: Method, environment: &str, name: &str) -> Call {
        self.http().call(method, &["v1", "environments", environment, "stock-rules", name])
    }
}

/// Suppliers, tokens, the server itself.
impl Client {
    /// Lists live and recent sessions of suppliers.
    pub async fn sessions(&self, filter: &wire::SessionFilter) -> Result<wire::Page<wire::Session>, Error> {
        self.list(&["v1", "sessions"], filter).await
    }

    /// Makes a token. Not repeated when the connection breaks: a lost answer may leave a token that nobody knows.
    pub async fn create_token(&self, token: &wire::NewToken) -> Result<wire::CreatedToken, Error> {
        let call = self.post(&["v1", "tokens"]).json(token)?;
        self.http().send_once(&call).await.map_err(|(_, error)| error)?.read("the token")
    }

    /// Lists tokens, without their secrets.
    pub async fn tokens(&self, filter: &wire::PageFilter) -> Result<wire::Page<wire::Token>, Error> {
        self.list(&["v1", "tokens"], filter).await
    }

    /// Revokes a token; it takes effect within 5 s everywhere.
    pub async fn revoke_token(&self, id: &str) -> Result<(), Error> {
        self.http().send(&self.http().call(Method::DELETE, &["v1", "tokens", id])).await.map(drop)
    }

    /// Reads the release of the server.
    pub async fn version(&self) -> Result<wire::Version, Error> {
        self.read(&self.get(&["version"]), "the version").await
    }

    /// Reads the health of the server; an unhealthy one answers [`Error::Problem`] or is not reached.
    pub async fn health(&self) -> Result<wire::Health, Error> {
        self.read(&self.get(&["healthz"]), "the health").await
    }

    pub(super) fn get(&self, segments: &[&str]) -> Call {
        self.http().call(Method::GET, segments)
    }

    fn post(&self, segments: &[&str]) -> Call {
        self.http().call(Method::POST, segments)
    }

    async fn list<T: DeserializeOwned>(
        &self,
        segments: &[&str],
        filter: &impl Serialize,
    ) -> Result<wire::Page<T>, Error> {
        self.read(&self.get(segments).query(filter), "the list").await
    }

    async fn read<T: DeserializeOwned>(&self, call: &Call, what: &str) -> Result<T, Error> {
        self.http().send(call).await?.read(what)
    }
}

fn split_name(name: &str) -> Result<(&str, &str), Error> {
    name.split_once('/')
        .filter(|(domain, name)| !domain.is_empty() && !name.is_empty() && !name.contains('/'))
        .ok_or_else(|| Error::Usage(format!("`{name}` is no contract; write it as domain/name")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contract_is_a_domain_and_a_name() {
        assert_eq!(split_name("billing/payment-account").unwrap(), ("billing", "payment-account"));
        for wrong in ["", "billing", "/x", "x/", "a/b/c"] {
            assert!(split_name(wrong).unwrap_err().to_string().contains("domain/name"), "{wrong}");
        }
    }
}
