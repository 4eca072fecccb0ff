//! A started supplier: opens sessions one after another, and ends by a drain, or by what reconnecting cannot mend.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::ended::{SupplierEnded, UnreportedResult};
use super::results::{Late, deliver};
use super::session::{Ended, Session, Shared};
use crate::Error;
use crate::http::Http;
use crate::retry::{Trouble, backoff};
use crate::wire::{Change, Manifest, OpenedSession, PublishedContract};

/// From how many failed tries in a row on a missing server is worth a line in the log each time.
const QUIET_TRIES: u32 = 3;

/// A supplier that runs in the background. Dropping it stops at once, without a drain.
#[derive(Debug)]
pub struct Running {
    drain: CancellationToken,
    published: watch::Receiver<Option<Arc<[PublishedContract]>>>,
    /// `None` after its end was reported.
    task: Option<AbortOnDropHandle<Result<(), Error>>>,
}

impl Running {
    pub(super) fn spawn(shared: Shared, manifest: Manifest, drain_within: Duration) -> Self {
        let drain = shared.drain.clone();
        let (publish, published) = watch::channel(None);
        let task = tokio::spawn(async move {
            let drained = shared.drain.clone();
            let mut too_late = pin!(async {
                drained.cancelled().await;
                tokio::time::sleep(drain_within).await;
            });
            let mut work = Work::new();
            let ended = tokio::select! {
                ended = live(&shared, &manifest, &publish, &mut work) => ended,
                () = &mut too_late => {
                    tracing::warn!("the drain took too long: running handlers are dropped, and attempted elsewhere");
                    Ok(())
                }
            };
            let Err(cause) = ended else { return Ok(()) };
            tracing::error!(%cause, ?drain_within, "the server ended this supplier; running handlers finish");
            let enough = async {
                tokio::select! {
                    () = too_late => {}
                    () = tokio::time::sleep(drain_within) => {}
                }
            };
            let unreported = work.finish(&shared.http, enough).await;
            unreported
                .iter()
                .for_each(|attempt| attempt.log("the result of an attempt could not be reported"));
            let Manifest { domain, instance, .. } = &manifest;
            Err(Box::new(SupplierEnded::by(cause, domain, instance, unreported)).into())
        });
        Self { drain, published, task: Some(AbortOnDropHandle::new(task)) }
    }

    /// Waits until the first session is open, and says what became of each capability: its version, and whom a change
    /// of it breaks.
    ///
    /// # Errors
    /// What ended the supplier before; see [`Supplier::run`](crate::Supplier::run).
    pub async fn ready(&mut self) -> Result<Arc<[PublishedContract]>, Error> {
        if let Ok(published) = self.published.wait_for(Option::is_some).await {
            return Ok(published.clone().expect("waited for it"));
        }
        // The sender is gone, so the supplier has ended.
        end_of(self.task.take()).await?;
        Err(Error::Usage("the supplier was drained before it was ready".into()))
    }

    /// Begins to drain: no new tasks; running ones are finished and answered.
    pub fn begin_drain(&self) {
        self.drain.cancel();
    }

    /// Drains, and waits for the end.
    ///
    /// # Errors
    /// What ended the supplier before.
    pub async fn drain(self) -> Result<(), Error> {
        self.begin_drain();
        end_of(self.task).await
    }

    /// Waits for the end without asking for it.
    ///
    /// # Errors
    /// What ended the supplier.
    pub async fn ended(self) -> Result<(), Error> {
        end_of(self.task).await
    }

    /// Waits for SIGTERM or ctrl-c, then drains. A second signal ends at once.
    ///
    /// # Errors
    /// What ended the supplier before.
    pub async fn until_signal(self) -> Result<(), Error> {
        let mut ended = std::pin::pin!(end_of(self.task));
        tokio::select! {
            ended = &mut ended => return ended,
            () = signal() => tracing::info!("draining; a second signal ends at once"),
        }
        self.drain.cancel();
        tokio::select! {
            ended = &mut ended => ended,
            () = signal() => Ok(()),
        }
    }
}

/// Waits for the end of a supplier, unless it was reported before.
async fn end_of(task: Option<AbortOnDropHandle<Result<(), Error>>>) -> Result<(), Error> {
    let Some(task) = task else { return Ok(()) };
    match task.await {
        Ok(ended) => ended,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        // Only the end of the runtime aborts it while somebody waits.
        Err(_) => Ok(()),
    }
}

#[cfg(unix)]
async fn signal() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => tokio::select! {
            _ = terminate.recv() => {}
            () = ctrl_c() => {}
        },
        Err(error) => {
            tracing::warn!(%error, "SIGTERM cannot be listened to");
            ctrl_c().await;
        }
    }
}

#[cfg(not(unix))]
async fn signal() {
    ctrl_c().await;
}

async fn ctrl_c() {
    if let Err(error) = tokio::signal::ctrl_c().await {
        tracing::warn!(%error, "ctrl-c cannot be listened to");
        std::future::pending::<()>().await;
    }
}

/// What outlives a session.
struct Work {
    handlers: JoinSet<()>,
    late: Late,
    /// The newest session, open or not.
    session: Option<String>,
}

impl Work {
    fn new() -> Self {
        Self { handlers: JoinSet::new(), late: Late::new(), session: None }
    }

    /// Lets running handlers finish after the supplier has ended, and reports what can be reported, until `enough`.
    /// Returns the attempts whose results the server has not heard.
    ///
    /// A server that has only given the session up still listens to it: it refuses the results, and has what was made
    /// undone.
    async fn finish(mut self, http: &Http, enough: impl Future<Output = ()>) -> Vec<UnreportedResult> {
        let tasks = Arc::clone(self.late.tasks());
        let finishing = async {
            let reporting = async {
                match &self.session {
                    Some(session) => deliver(http, session, &mut self.late.outbox, None).await,
                    // Without a session nothing was ever claimed.
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = tasks.all_answered() => return,
                // Whatever the reason, nobody listens any more.
                Ended::Lost(_) | Ended::Fatal(_) | Ended::Drained = reporting => {}
            }
            while self.handlers.join_next().await.is_some() {}
        };
        tokio::select! {
            () = finishing => {}
            () = enough => {}
        }
        self.late.unreported()
    }
}

/// Opens one session after another until the supplier is drained or cannot go on.
async fn live(
    shared: &Shared,
    manifest: &Manifest,
    publish: &watch::Sender<Option<Arc<[PublishedContract]>>>,
    work: &mut Work,
) -> Result<(), Error> {
    let Work { handlers, late, session } = work;
    // Sessions that were lost at once count on, so that a server which opens and forgets them is not flooded.
    let mut lost_in_a_row = 0;
    loop {
        let opened = tokio::select! {
            opened = open(shared, manifest) => opened?,
            // With late results a session is opened even to drain: the server has to hear of what they made.
            () = shared.drain.cancelled(), if late.tasks().is_empty() => return Ok(()),
        };
        log_opened(&opened, manifest.channel.as_deref());
        let contracts: Arc<[PublishedContract]> = opened.contracts.into();
        publish.send_replace(Some(contracts));
        let heartbeat = Duration::from_secs(opened.heartbeat_s.max(1));
        let began = tokio::time::Instant::now();
        let id = session.insert(opened.id).clone();
        match (Session { shared, id, heartbeat }).serve(handlers, late).await {
            Ended::Drained => return Ok(()),
            Ended::Fatal(error) => return Err(error),
            Ended::Lost(_) if shared.drain.is_cancelled() && late.tasks().is_empty() => return Ok(()),
            Ended::Lost(reason) => tracing::warn!(reason, "the session was lost; opening another"),
        }
        lost_in_a_row = if began.elapsed() > heartbeat { 1 } else { lost_in_a_row + 1 };
        tokio::time::sleep(backoff(lost_in_a_row, fastrand::f64())).await;
    }
}

/// Opens a session, for as long as that takes; only a refusal ends it.
async fn open(shared: &Shared, manifest: &Manifest) -> Result<OpenedSession, Error> {
    let call = shared.http.call(Method::POST, &["v1", "sessions"]).json(manifest)?;
    let call = if shared.strict { call.pair("strict", "true") } else { call };
    for tries in 1.. {
        let (trouble, error) = match shared.http.send_once(&call).await {
            Ok(answer) => return answer.read("the opened session"),
            Err(failed) => failed,
        };
        if !worth_waiting(&trouble) {
            return Err(error);
        }
        if tries > QUIET_TRIES {
            tracing::warn!(%error, "no session yet; trying again");
        }
        tokio::time::sleep(backoff(tries, fastrand::f64())).await;
    }
    unreachable!("an endless loop ends by returning")
}

/// Whether a session may be opened later although it was not now.
fn worth_waiting(trouble: &Trouble) -> bool {
    matches!(trouble, Trouble::Connection | Trouble::Status { status: 408 | 429 | 500..=599, .. })
}

fn log_opened(opened: &OpenedSession, channel: Option<&str>) {
    for warning in &opened.warnings {
        tracing::warn!(code = warning.code, pointer = warning.pointer, "{}", warning.message);
    }
    for PublishedContract { name, version, change, changes, breaks, against } in &opened.contracts {
        let against = against.map(|against| format!(" to the deployed @{against}")).unwrap_or_default();
        tracing::info!(session = opened.id, channel, "publishing {name}@{version} ({change}{against})");
        if *change == Change::Breaking {
            for change in changes {
                tracing::warn!("{name}@{version} is breaking: {change}");
            }
            let breaks_or_would = if channel.is_some() { "would break" } else { "breaks" };
            for broken in breaks {
                tracing::warn!("{name}@{version} {breaks_or_would} {}: {}", broken.contract, broken.message);
            }
        }
    }
    if let Some(channel) = channel {
        tracing::info!("only requests that name the channel `{channel}` are made by this process");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DynamicCapability, Owner, Supplier};

    fn supplier(url: &str) -> Supplier {
        let noop = DynamicCapability::new("noop", |_, _| async { Ok(serde_json::json!({})) });
        Supplier::new("demo").owner(Owner::new("Demo")).url(url).token("sxp_x").dynamic(noop)
    }

    #[tokio::test]
    async fn a_supplier_without_a_server_waits_and_can_be_drained() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let mut running = supplier(&url).start().unwrap();
        running.begin_drain();
        assert!(running.ready().await.is_err());
        assert!(running.drain().await.is_ok(), "the end was reported already");
        assert!(supplier(&url).start().unwrap().drain().await.is_ok());
    }

    #[test]
    fn a_refused_manifest_or_token_is_not_tried_again() {
        let status = |status| Trouble::Status { status, code: String::new(), retry_after: None };
        for refused in [400, 401, 403, 404, 409, 422] {
            assert!(!worth_waiting(&status(refused)), "{refused}");
        }
        for passing in [429, 500, 502, 503] {
            assert!(worth_waiting(&status(passing)), "{passing}");
        }
        assert!(worth_waiting(&Trouble::Connection));
    }
}
