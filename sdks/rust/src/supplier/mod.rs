//! The supplier half: publishes the capabilities of one domain, and performs their tasks.
//!
//! ```text
//! start --> connecting --session opened--> ready --drain--> draining --> ended
//!               ^------- session lost --------'  \
//!                                                 \--superseded, token or protocol refused--> finishing --> ended
//! ```

mod attempt;
mod capability;
mod context;
mod dynamic;
mod ended;
mod offer;
mod results;
mod running;
mod session;
mod stop;
mod tasks;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

pub use capability::{About, Capability, Check, Find, NoFacts, Produce, Undo, Verdict};
pub use context::{Children, Context};
pub use dynamic::DynamicCapability;
pub use ended::{EndReason, SupplierEnded, UnreportedResult};
pub use running::Running;
pub use stop::{Reject, Stop};

use crate::Error;
use crate::client::{channel_from_env, connection_from_env};
use crate::http::Http;
use crate::wire::{Manifest, Owner, Sdk};
use offer::{Offer, Typed};
use session::Shared;

/// The revision of the supplier protocol that is spoken here.
const PROTOCOL: u32 = 1;
/// Handlers at once in one process until something else is said: enough to hide the waiting of ordinary services.
const DEFAULT_CONCURRENCY: usize = 32;
/// How long a drain may take until something else is said: what orchestrators of containers commonly grant.
const DEFAULT_DRAIN: Duration = Duration::from_secs(30);
/// The environment when none is said.
const DEFAULT_ENVIRONMENT: &str = "default";

/// A supplier of one domain.
///
/// Address, token, environment and channel come from `SIXPACK_URL`, `SIXPACK_TOKEN` (or the file `.sixpack/token`),
/// `SIXPACK_ENVIRONMENT` and `SIXPACK_CHANNEL`, unless they are set here.
///
/// ```standalone_crate
/// # mod landscape { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/landscape.rs")); }
/// # landscape::supply("billing/ping", async || {
/// use sixpack::{DynamicCapability, Owner, Supplier};
///
/// let ping = DynamicCapability::new("ping", |cx, _| async move { Ok(serde_json::json!({ "id": cx.unique() })) });
/// Supplier::new("billing")
///     .owner(Owner::new("Billing").contact("billing@shop.test"))
///     .dynamic(ping)
///     .run()
///     .await
/// # });
/// ```
#[must_use = "a supplier does nothing until it runs"]
pub struct Supplier {
    domain: String,
    url: Option<String>,
    token: Option<String>,
    environment: Option<String>,
    instance: Option<String>,
    channel: Option<String>,
    build: Option<String>,
    owner: Option<Owner>,
    concurrency: usize,
    drain_within: Duration,
    strict: bool,
    offers: Vec<Arc<dyn Offer>>,
}

impl Supplier {
    /// A supplier of `domain`, the namespace that your team owns.
    pub fn new(domain: impl Into<String>) -> Self {
        Self {
            domain: domain.into(),
            url: None,
            token: None,
            environment: None,
            instance: None,
            channel: None,
            build: None,
            owner: None,
            concurrency: DEFAULT_CONCURRENCY,
            drain_within: DEFAULT_DRAIN,
            strict: false,
            offers: Vec::new(),
        }
    }

    /// Who owns the domain. Required: failures name the owner.
    pub fn owner(mut self, owner: Owner) -> Self {
        self.owner = Some(owner);
        self
    }

    /// Publishes a capability.
    pub fn capability(mut self, capability: impl Capability) -> Self {
        self.offers.push(Arc::new(Typed(capability)));
        self
    }

    /// Publishes a capability made from closures.
    pub fn dynamic(mut self, capability: DynamicCapability) -> Self {
        self.offers.push(Arc::new(capability));
        self
    }

    /// Address of the server.
    pub fn url(mut self, url: impl Into<String>) -> Self {
        self.url = Some(url.into());
        self
    }

    /// Token of the role supplier.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Environment whose services this process reaches.
    pub fn environment(mut self, environment: impl Into<String>) -> Self {
        self.environment = Some(environment.into());
        self
    }

    /// Name of this process, of the form of a domain (the domain and random characters otherwise). Of two with one name the older is sent away.
    pub fn instance(mut self, instance: impl Into<String>) -> Self {
        self.instance = Some(instance.into());
        self
    }

    /// A supplier under development in this channel, beside the deployed suppliers of the domain: only requests that name
    /// the channel are made by it, and for everybody else the catalogue stays as it is. [`own_channel`](crate::own_channel)
    /// proposes a name. Of two in one channel the older is sent away.
    pub fn dev(mut self, channel: impl Into<String>) -> Self {
        self.channel = Some(channel.into());
        self
    }

    /// What is running, for people: `git:1a2b3c`.
    pub fn build(mut self, build: impl Into<String>) -> Self {
        self.build = Some(build.into());
        self
    }

    /// How many handlers may run at once in this process (32 otherwise; at least 1).
    pub fn concurrency(mut self, handlers: usize) -> Self {
        self.concurrency = handlers.max(1);
        self
    }

    /// How long running handlers get to finish after a drain began, or after the server ended the supplier (30 s
    /// otherwise). What is left then is dropped, and attempted again elsewhere.
    pub fn drain_within(mut self, span: Duration) -> Self {
        self.drain_within = span;
        self
    }

    /// Has the server refuse what it otherwise only warns of, such as a default that breaks its own schema: for a build
    /// pipeline that shall find it.
    pub fn strict(mut self) -> Self {
        self.strict = true;
        self
    }

    /// Runs until SIGTERM or ctrl-c, then drains. A second signal ends at once.
    ///
    /// Reconnects by itself, for ever: a server that is absent for a while is no reason to end.
    ///
    /// # Errors
    /// [`Error::Ended`] for what reconnecting cannot mend: a refused token or manifest, a second process with the same
    /// instance name, a server of another protocol. Handlers that ran then have finished, within
    /// [`drain_within`](Self::drain_within); it says which of their results could not be reported. Let `main` return it, or
    /// end the process with [`Error::exit_code`].
    pub async fn run(self) -> Result<(), Error> {
        self.start()?.until_signal().await
    }

    /// Starts in the background, for programs that also do other things, and for tests.
    ///
    /// # Errors
    /// [`Error::Usage`] when owner or capabilities are missing or doubled, or the address cannot be one.
    pub fn start(self) -> Result<Running, Error> {
        let (env_url, env_token) = connection_from_env();
        let url = self.url.as_deref().unwrap_or(&env_url);
        let token = self.token.as_deref().or(env_token.as_deref()).map(str::trim);
        let http = Http::new(url, token, Duration::ZERO)?;
        let env_environment = std::env::var("SIXPACK_ENVIRONMENT").ok().filter(|name| !name.is_empty());
        let environment =
            self.environment.clone().or(env_environment).unwrap_or_else(|| DEFAULT_ENVIRONMENT.into());
        let channel = self.channel.clone().or_else(channel_from_env);
        let manifest = self.manifest(&environment, channel)?;
        let offers =
            manifest.capabilities.iter().map(|capability| capability.name.clone()).zip(self.offers).collect();
        let shared = Shared {
            http,
            environment: environment.into(),
            offers,
            slots: Arc::new(Semaphore::new(self.concurrency)),
            drain: CancellationToken::new(),
            strict: self.strict,
        };
        Ok(Running::spawn(shared, manifest, self.drain_within))
    }

    fn manifest(&self, environment: &str, channel: Option<String>) -> Result<Manifest, Error> {
        let refuse = |why: String| Err(Error::Usage(format!("supplier of `{}`: {why}", self.domain)));
        let Some(owner) = self.owner.clone() else {
            return refuse("say who owns the domain with .owner(Owner::new(\"Team\"))".into());
        };
        let capabilities: Vec<_> = self.offers.iter().map(|offer| offer.manifest()).collect();
        if capabilities.is_empty() {
            return refuse("it has no capability; add one with .capability(…)".into());
        }
        let mut seen = HashMap::new();
        for (index, capability) in capabilities.iter().enumerate() {
            if seen.insert(&capability.name, index).is_some() {
                return refuse(format!("two capabilities have the name `{}`", capability.name));
            }
        }
        Ok(Manifest {
            protocol: Some(PROTOCOL),
            environment: environment.to_owned(),
            domain: self.domain.clone(),
            instance: self.instance.clone().unwrap_or_else(|| instance_name(&self.domain)),
            mode: channel.as_ref().map(|_| "dev".to_owned()),
            channel,
            build: self.build.clone(),
            owner,
            sdk: Some(Sdk::this()),
            capabilities,
        })
    }
}

/// The domain and random characters, within the 63 characters that a name may have.
fn instance_name(domain: &str) -> String {
    let random = std::iter::repeat_with(|| fastrand::alphanumeric().to_ascii_lowercase()).take(8);
    domain.chars().take(54).chain(std::iter::once('-')).chain(random).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn noop(name: &str) -> DynamicCapability {
        DynamicCapability::new(name, |_, _| async { Ok(json!({})) })
    }

    #[test]
    fn a_manifest_says_what_was_said_and_nothing_else() {
        let about =
            About::new("Does nothing").timeout(Duration::from_secs(5)).rate_per_s(0.5).label("pii", "none");
        let supplier = Supplier::new("demo")
            .owner(Owner::new("Demo"))
            .instance("demo-1")
            .dynamic(noop("a").about(about).with_undo(|_, _, _| async { Ok(()) }));
        assert_eq!(
            serde_json::to_value(supplier.manifest("qa", None).unwrap()).unwrap(),
            json!({"protocol":1,"environment":"qa","domain":"demo","instance":"demo-1","owner":{"team":"Demo"},
                "sdk":{"name":"rust","version":env!("CARGO_PKG_VERSION")},
                "capabilities":[{"name":"a","description":"Does nothing","input":{"type":"object"},"output":{"type":"object"},
                    "operations":["produce","undo"],"reusable":false,"timeout_s":5,"rate":{"per_s":0.5},"labels":{"pii":"none"}}]})
        );
    }

    #[test]
    fn a_supplier_under_development_names_its_channel() {
        let supplier = Supplier::new("demo").owner(Owner::new("Demo")).dev("ada-laptop").dynamic(noop("a"));
        let manifest = supplier.manifest("qa", supplier.channel.clone()).unwrap();
        assert_eq!(
            (manifest.mode.as_deref(), manifest.channel.as_deref()),
            (Some("dev"), Some("ada-laptop"))
        );
    }

    #[test]
    fn an_instance_name_is_a_name_and_differs_every_time() {
        let (first, second) = (instance_name(&"d".repeat(63)), instance_name(&"d".repeat(63)));
        assert_eq!(first.len(), 63);
        assert_ne!(first, second);
    }

    #[test]
    fn a_supplier_without_owner_or_with_doubled_names_is_refused() {
        let reason = |supplier: Supplier| supplier.manifest("qa", None).unwrap_err().to_string();
        assert!(reason(Supplier::new("demo").dynamic(noop("a"))).contains(".owner("));
        let owned = || Supplier::new("demo").owner(Owner::new("Demo"));
        assert!(reason(owned()).contains("no capability"));
        assert!(reason(owned().dynamic(noop("a")).dynamic(noop("a"))).contains("`a`"));
    }
}
