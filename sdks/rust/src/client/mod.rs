//! The consumer half: requests datasets, holds leases, and reads everything else.

mod events;
mod extension;
mod lease;
mod operations;
mod request;

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

pub use events::EventStream;
pub use extension::ExtensionBuilder;
pub use lease::Lease;
pub use request::RequestBuilder;

use crate::Error;
use crate::http::Http;
use crate::wire;

/// Where a server listens unless something else is said.
pub const DEFAULT_URL: &str = "http://127.0.0.1:6776";
/// How long calls are repeated while a server restarts or is replaced.
const DEFAULT_PATIENCE: Duration = Duration::from_secs(30);
/// Where `sixpack dev` keeps its token.
const TOKEN_FILE: &str = ".sixpack/token";

/// A client of one server. Cheap to clone; share one in a process.
///
/// ```standalone_crate
/// # mod landscape { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/landscape.rs")); }
/// # landscape::consume_by_environment(async || {
/// use serde_json::json;
///
/// let client = sixpack::Client::from_env()?;
/// let lease = client
///     .request("checkout/ready-customer")
///     .input(json!({ "country": "FR" }))
///     .holder("checkout.spec")
///     .send()
///     .await?;
/// #[derive(serde::Deserialize)]
/// struct ReadyCustomer { customer_id: String }
/// let customer: ReadyCustomer = lease.output()?;
/// println!("testing with {}", customer.customer_id);
/// lease.release().await?;
/// # Ok(()) });
/// ```
#[derive(Debug, Clone)]
pub struct Client {
    http: Http,
    /// What requests name that name no other.
    channel: Option<String>,
}

impl Client {
    /// A client of the server at `url`. Nothing is sent yet.
    ///
    /// # Errors
    /// [`Error::Usage`] when the address or the token cannot be one.
    pub fn new(url: impl AsRef<str>, token: impl AsRef<str>) -> Result<Self, Error> {
        Self::with_patience(url.as_ref(), Some(token.as_ref()), DEFAULT_PATIENCE)
    }

    /// A client that repeats calls for at most `patience` while the server cannot be reached (30 s otherwise).
    ///
    /// Without a token only servers with `--insecure-dev` answer.
    ///
    /// # Errors
    /// As [`Client::new`].
    pub fn with_patience(url: &str, token: Option<&str>, patience: Duration) -> Result<Self, Error> {
        Ok(Self { http: Http::new(url, token.map(str::trim), patience)?, channel: None })
    }

    /// A client as the environment says: address `SIXPACK_URL`, else [`DEFAULT_URL`]; token `SIXPACK_TOKEN`, else the
    /// file `.sixpack/token` in the working folder (written by `sixpack dev`), else none; and the channel
    /// `SIXPACK_CHANNEL` for its requests, else none.
    ///
    /// # Errors
    /// As [`Client::new`].
    pub fn from_env() -> Result<Self, Error> {
        let (url, token) = connection_from_env();
        let client = Self::with_patience(&url, token.as_deref(), DEFAULT_PATIENCE)?;
        Ok(Self { channel: channel_from_env(), ..client })
    }

    /// The same client, with requests that name a channel of suppliers under development unless they say otherwise. What
    /// these offer takes the place of what is deployed.
    #[must_use]
    pub fn in_channel(mut self, channel: impl Into<String>) -> Self {
        self.channel = Some(channel.into());
        self
    }

    /// Begins a request for one contract, `domain/name`.
    pub fn request(&self, contract: impl Into<String>) -> RequestBuilder {
        RequestBuilder::of_contract(self.clone(), contract.into())
    }

    /// Begins a request for several contracts, all or nothing; end it with [`RequestBuilder::send_all`].
    ///
    /// ```
    /// # mod landscape { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/landscape.rs")); }
    /// # landscape::consume(async |client| {
    /// use serde_json::json;
    ///
    /// let leases = client
    ///     .request_all([("customer/active-customer", json!({})), ("billing/gift-card", json!({ "amount": 20 }))])
    ///     .send_all()
    ///     .await?;
    /// assert_eq!(leases.len(), 2);
    /// # Ok(()) });
    /// ```
    pub fn request_all<C: Into<String>>(
        &self,
        items: impl IntoIterator<Item = (C, Value)>,
    ) -> RequestBuilder {
        let items = items.into_iter().map(|(contract, input)| wire::Item::new(contract, input)).collect();
        RequestBuilder::of_items(self.clone(), items)
    }

    /// Begins a request for a dataset that was made before, perhaps long ago: same version of the contract, same input,
    /// same seed, and the same versions of everything below. What the request shows in
    /// [`rerun`](wire::Request::rerun) says whether the facts are the same; watch it with
    /// [`RequestBuilder::on_progress`].
    ///
    /// It is made in the environment and in the channel of the dataset. Once a version that it was made on is not on offer
    /// any more, the request is refused as `version_gone`.
    ///
    /// ```
    /// # mod landscape { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/landscape.rs")); }
    /// # landscape::consume(async |client| {
    /// let first = client.request("checkout/ready-customer").send().await?;
    /// // … and perhaps weeks later:
    /// let lease = client
    ///     .rerun(first.dataset_id())
    ///     .on_progress(|request| {
    ///         if let Some(rerun) = &request.rerun {
    ///             println!("facts are {}, {} differ", rerun.facts, rerun.differences.len());
    ///         }
    ///     })
    ///     .send()
    ///     .await?;
    /// # drop(lease);
    /// # Ok(()) });
    /// ```
    pub fn rerun(&self, dataset: impl Into<String>) -> RequestBuilder {
        RequestBuilder::of_rerun(self.clone(), dataset.into())
    }

    pub(crate) fn http(&self) -> &Http {
        &self.http
    }
}

/// A variable that is set and not empty.
fn set(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.trim().is_empty())
}

/// The channel as the environment says.
pub(crate) fn channel_from_env() -> Option<String> {
    set("SIXPACK_CHANNEL")
}

/// Address and token as the environment says.
pub(crate) fn connection_from_env() -> (String, Option<String>) {
    let url = set("SIXPACK_URL").unwrap_or_else(|| DEFAULT_URL.to_owned());
    (url, set("SIXPACK_TOKEN").or_else(|| token_from_file(Path::new(TOKEN_FILE))))
}

fn token_from_file(path: &Path) -> Option<String> {
    let token = std::fs::read_to_string(path).ok()?.trim().to_owned();
    (!token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_file_is_read_without_its_newline() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        assert_eq!(token_from_file(&path), None);
        std::fs::write(&path, "sxp_abc\n").unwrap();
        assert_eq!(token_from_file(&path).as_deref(), Some("sxp_abc"));
        std::fs::write(&path, "\n").unwrap();
        assert_eq!(token_from_file(&path), None);
    }
}
