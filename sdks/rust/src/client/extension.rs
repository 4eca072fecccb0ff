//! One extension of a leased dataset from its call to its end.

use serde_json::Value;

use super::{Client, Lease};
use crate::Error;
use crate::error::ExtensionFailed;
use crate::wire::{self, Extension, ExtensionStatus, NewExtension};

/// How long one call waits for news. Short enough for proxies that close silent connections after a minute.
const WAIT_S: u64 = 30;

/// An extension being put together; [`send`](Self::send) makes it.
#[must_use = "an extension does nothing until it is sent"]
pub struct ExtensionBuilder<'a> {
    client: &'a Client,
    lease: &'a wire::Lease,
    body: NewExtension,
}

impl Lease {
    /// Advances the dataset by one more contract, just in time: what is made belongs to the lease, and is undone with the
    /// rest.
    ///
    /// ```
    /// # mod landscape { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/landscape.rs")); }
    /// # landscape::consume(async |client| {
    /// use serde_json::json;
    ///
    /// let lease = client.request("checkout/ready-customer").send().await?;
    /// let paid = lease.extend("order/paid-order").input(json!({ "method": "CARD" })).send().await?;
    /// println!("paid {}", paid.output["order_id"]);
    /// # Ok(()) });
    /// ```
    pub fn extend(&self, contract: impl Into<String>) -> ExtensionBuilder<'_> {
        let (client, lease) = (self.client(), self.wire());
        ExtensionBuilder { client, lease, body: NewExtension::new(lease.fence, contract) }
    }
}

impl ExtensionBuilder<'_> {
    /// Input of the contract. A property that is left out takes the value of the dataset's output under the same name, if
    /// that fits, and otherwise its default.
    pub fn input(mut self, input: Value) -> Self {
        self.body.input = Some(input);
        self
    }

    /// Makes it and waits for its end, as long as the lease lasts. A dataset is extended by one contract at a time.
    ///
    /// Connection errors and a busy server are retried, and it happens once.
    ///
    /// # Errors
    /// [`Error::NotExtended`] names the capability, its owner and the reason; the dataset stays leased as it was.
    /// [`Error::Problem`] is a refusal.
    pub async fn send(self) -> Result<Extension, Error> {
        let Self { client, lease, mut body } = self;
        let number = client.lease(&lease.id).await?.extensions.len() + 1;
        body.number = Some(u32::try_from(number).unwrap_or(u32::MAX));
        let mut now = client.extend_lease(&lease.id, &body, WAIT_S).await?;
        loop {
            let extension = now.extensions.into_iter().nth(number - 1).ok_or_else(|| Error::Unreadable {
                what: "the extended lease".into(),
                reason: "it does not show its extension".into(),
            })?;
            match extension.status {
                ExtensionStatus::Building => now = client.wait_for_extension(&lease.id, WAIT_S).await?,
                ExtensionStatus::Ready => return Ok(extension),
                _ => return Err(Box::new(ExtensionFailed { lease_id: lease.id.clone(), extension }).into()),
            }
        }
    }
}
