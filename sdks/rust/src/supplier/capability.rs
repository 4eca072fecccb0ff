//! What a domain team writes: one capability, with typed input and output.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Context, Stop};
use crate::wire::{CheckVerdict, Operation, RetryRule};

/// What `produce` answers: the output, or why there is none.
pub type Produce<T> = Result<T, Stop>;
/// What `check` answers: a verdict with facts, or why it could not be found out.
pub type Check<F> = Result<Verdict<F>, Stop>;
/// What `find` answers: the output of something that is there already, `None` when nothing fits, or why it could not be
/// found out.
pub type Find<T> = Result<Option<T>, Stop>;
/// What `undo` answers.
pub type Undo = Result<(), Stop>;

/// A state that your service can create or advance, and publishes as the contract `domain/NAME`.
///
/// Handlers are called **at least once** for one dataset, possibly at the same time as an earlier attempt that was
/// believed dead: pass [`Context::idempotency_key`] on to your service, or look for what the key made before.
///
/// ```
/// use schemars::JsonSchema;
/// use serde::{Deserialize, Serialize};
/// use sixpack::{About, Capability, Check, Context, Operation, Produce, Undo, Verdict};
/// # struct BillingClient;
/// # impl BillingClient {
/// #     async fn open(&self, customer: &str, key: &str) -> std::io::Result<String> { Ok(format!("{customer}{key}")) }
/// #     async fn status(&self, account: &str) -> std::io::Result<String> { Ok(account.into()) }
/// #     async fn close_by_key(&self, key: &str) -> std::io::Result<()> { drop(key); Ok(()) }
/// # }
///
/// #[derive(Deserialize, JsonSchema)]
/// struct Input { customer_id: String }
///
/// #[derive(Serialize, Deserialize, JsonSchema)]
/// struct Output {
///     #[schemars(extend("x-entity" = "account"))]
///     account_id: String,
/// }
///
/// #[derive(Serialize, JsonSchema)]
/// struct Facts { status: String }
///
/// struct PaymentAccount { billing: BillingClient }
///
/// impl Capability for PaymentAccount {
///     const NAME: &'static str = "payment-account";
///     const OPERATIONS: &'static [Operation] = &[Operation::Produce, Operation::Check, Operation::Undo];
///     type Input = Input;
///     type Output = Output;
///     type Facts = Facts;
///
///     fn about(&self) -> About {
///         About::new("An open account with a verified payment method").concurrency(4).label("pii", "none")
///     }
///
///     async fn produce(&self, cx: &Context, input: Input) -> Produce<Output> {
///         if input.customer_id.is_empty() {
///             return Err(cx.reject("no_customer", "a payment account needs a customer"));
///         }
///         // An error of your client is a retryable failure by `?`.
///         let account_id = self.billing.open(&input.customer_id, cx.idempotency_key()).await?;
///         Ok(Output { account_id })
///     }
///
///     async fn check(&self, _: &Context, _: Input, output: Output) -> Check<Facts> {
///         let status = self.billing.status(&output.account_id).await?;
///         Ok(Verdict::when(status == "OPEN", Facts { status }))
///     }
///
///     async fn undo(&self, cx: &Context, _: Input, _: Option<Output>) -> Undo {
///         // Without output the attempt never answered: undo whatever the key made.
///         Ok(self.billing.close_by_key(cx.idempotency_key()).await?)
///     }
/// }
/// ```
pub trait Capability: Send + Sync + 'static {
    /// Name without the domain: `[a-z0-9][a-z0-9._-]{0,62}`.
    const NAME: &'static str;
    /// Which of the four functions are there. Required, so that a `check` is neither forgotten nor invented.
    const OPERATIONS: &'static [Operation];
    /// What the consumer or a scenario gives.
    type Input: DeserializeOwned + JsonSchema + Send;
    /// What they get. Mark keys of things with `x-entity`, secrets with `x-secret`.
    type Output: Serialize + DeserializeOwned + JsonSchema + Send;
    /// What `check` reads back; [`NoFacts`] when there is nothing. Mark with `x-volatile` what differs between two datasets
    /// that are the same otherwise: keys, times, counters.
    type Facts: Serialize + JsonSchema + Send + 'static;

    /// Description, limits, labels.
    fn about(&self) -> About;

    /// Creates or advances the state.
    fn produce(&self, cx: &Context, input: Self::Input)
    -> impl Future<Output = Produce<Self::Output>> + Send;

    /// Reads back whether the state still holds. Must change nothing.
    fn check(
        &self,
        cx: &Context,
        input: Self::Input,
        output: Self::Output,
    ) -> impl Future<Output = Check<Self::Facts>> + Send {
        let _ = (cx, input, output);
        async { Err(not_written("check")) }
    }

    /// Comes upon something that fits and is there already. Must change nothing: what it answers is checked, leased, and
    /// never undone.
    ///
    /// Leave out what [`Context::is_excluded`] says, and whatever `produce` makes, which is undone with its dataset. The output
    /// has to name its key with `x-entity`.
    fn find(&self, cx: &Context, input: Self::Input) -> impl Future<Output = Find<Self::Output>> + Send {
        let _ = (cx, input);
        async { Err(not_written("find")) }
    }

    /// Removes or compensates the state. Must succeed when there is nothing (any more).
    ///
    /// `output` is `None` when no attempt of `produce` ever answered: undo whatever the idempotency key made.
    fn undo(
        &self,
        cx: &Context,
        input: Self::Input,
        output: Option<Self::Output>,
    ) -> impl Future<Output = Undo> + Send {
        let _ = (cx, input, output);
        async { Err(not_written("undo")) }
    }
}

fn not_written(operation: &str) -> Stop {
    Stop::reject(
        "not_written",
        format!("OPERATIONS names `{operation}`, but the capability does not have that function"),
    )
}

/// Facts of a capability that has none.
#[derive(Debug, Clone, Copy, Default, Serialize, JsonSchema)]
pub struct NoFacts {}

/// What a check found.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict<F> {
    pub(crate) verdict: CheckVerdict,
    pub(crate) facts: Option<F>,
    pub(crate) message: Option<String>,
}

impl<F> Verdict<F> {
    /// The state holds.
    pub fn valid(facts: F) -> Self {
        Self { verdict: CheckVerdict::Valid, facts: Some(facts), message: None }
    }

    /// The state does not hold any more.
    pub fn invalid(facts: F, message: impl Into<String>) -> Self {
        Self { verdict: CheckVerdict::Invalid, facts: Some(facts), message: Some(message.into()) }
    }

    /// The service does not know the thing at all.
    pub fn missing(message: impl Into<String>) -> Self {
        Self { verdict: CheckVerdict::Invalid, facts: None, message: Some(message.into()) }
    }

    /// It could not be found out; never taken for valid.
    pub fn unknown(message: impl Into<String>) -> Self {
        Self { verdict: CheckVerdict::Undecided, facts: None, message: Some(message.into()) }
    }

    /// Valid when `holds`, else invalid; the facts say the rest.
    pub fn when(holds: bool, facts: F) -> Self {
        let verdict = if holds { CheckVerdict::Valid } else { CheckVerdict::Invalid };
        Self { verdict, facts: Some(facts), message: None }
    }

    /// Adds a message for people.
    #[must_use]
    pub fn message(mut self, message: impl Into<String>) -> Self {
        self.message = Some(message.into());
        self
    }
}

/// Description, limits and labels of a capability. What is not said takes the server's default.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct About {
    pub(crate) description: String,
    pub(crate) timeout_s: Option<u64>,
    pub(crate) concurrency: Option<u32>,
    pub(crate) rate_per_s: Option<f64>,
    pub(crate) fresh_for_s: Option<u64>,
    pub(crate) settle_s: Option<u64>,
    pub(crate) retry: Option<RetryRule>,
    pub(crate) reusable: bool,
    pub(crate) labels: BTreeMap<String, String>,
}

impl About {
    /// What the state is good for, in one or two sentences for testers.
    pub fn new(description: impl Into<String>) -> Self {
        Self { description: description.into(), ..Self::default() }
    }

    /// How long one attempt may take, in whole seconds (60 s otherwise). Your handler is dropped then.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout_s = Some(timeout.as_secs());
        self
    }

    /// How many tasks at once over all instances (unlimited otherwise).
    #[must_use]
    pub fn concurrency(mut self, tasks: u32) -> Self {
        self.concurrency = Some(tasks);
        self
    }

    /// How many tasks a second over all instances (unlimited otherwise).
    #[must_use]
    pub fn rate_per_s(mut self, tasks: f64) -> Self {
        self.rate_per_s = Some(tasks);
        self
    }

    /// How long a check counts as fresh, in whole seconds (5 minutes otherwise).
    #[must_use]
    pub fn fresh_for(mut self, span: Duration) -> Self {
        self.fresh_for_s = Some(span.as_secs());
        self
    }

    /// How long checks may take to agree after building, in whole seconds (30 s otherwise).
    #[must_use]
    pub fn settle(mut self, span: Duration) -> Self {
        self.settle_s = Some(span.as_secs());
        self
    }

    /// How often and when to attempt again (5 goes, 500 ms to 30 s otherwise).
    #[must_use]
    pub fn retry(mut self, rule: RetryRule) -> Self {
        self.retry = Some(rule);
        self
    }

    /// One dataset may be used many times, one holder after another.
    #[must_use]
    pub fn reusable(mut self) -> Self {
        self.reusable = true;
        self
    }

    /// A label to search the catalogue by.
    #[must_use]
    pub fn label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.insert(key.into(), value.into());
        self
    }
}
