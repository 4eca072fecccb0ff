//! Sessions: a supplier registers its capabilities, says that it is alive, and goes away in order.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use crate::apply::Applied;
use crate::caller::Caller;
use crate::parked::Queue;
use crate::refusal::Refusal;
use crate::sweeps::attempt_of;
use crate::{Engine, mint};
use jiff::Timestamp;
use moka::sync::Cache;
use serde_json::json;
use sixpack_model::event::Event;
use sixpack_model::fault::Fault;
use sixpack_model::ids::{SessionId, TaskId, TokenId};
use sixpack_model::manifest::{Manifest, Mode};
use sixpack_model::plan::Happened;
use sixpack_model::session::{HeartbeatAllowance, Session, SessionStatus};
use sixpack_model::tree::Answerer;
use sixpack_storage::page::Page;
use sixpack_storage::sessions::{NewSession, Registered, Service};
use sixpack_storage::trees::Guard;
use sixpack_storage::wakeups::Wakeup;

/// A task that a live session does not name in its heartbeat after this long never reached it.
const LOST_AFTER_MS: u64 = 10_000;

/// How often a registration may find the catalogue changed before the supplier is told to come back.
const STALE_LIMIT: u32 = 20;

/// What has to be known of a session with each call.
#[derive(Debug)]
pub(crate) struct KnownSession {
    pub(crate) id: SessionId,
    pub(crate) environment: String,
    pub(crate) domain: String,
    /// Who it is, as kept beside its answers.
    pub(crate) answerer: Answerer,
    token: TokenId,
    pub(crate) queues: Arc<[Queue]>,
    heartbeats: Mutex<HeartbeatAllowance>,
}

impl KnownSession {
    /// Takes one of the heartbeats that the session may send.
    fn take_heartbeat(&self, now: Timestamp) -> Result<(), Refusal> {
        let mut allowance = self.heartbeats.lock().unwrap_or_else(PoisonError::into_inner);
        allowance.take(now).map_err(|wait| Refusal::TooManyHeartbeats { wait })
    }
}

/// Sessions that have called lately.
pub(crate) struct SessionCache {
    sessions: Cache<SessionId, Arc<KnownSession>>,
}

impl Default for SessionCache {
    fn default() -> Self {
        Self { sessions: Cache::new(10_000) }
    }
}

/// A session just opened.
#[derive(Debug)]
pub struct Opened {
    /// Its id.
    pub id: SessionId,
    /// What became of each of its contracts, in the order of the manifest.
    pub contracts: Vec<Applied>,
    /// What is allowed and probably not meant.
    pub warnings: Vec<Fault>,
}

/// A session as it is shown.
#[derive(Debug, Clone)]
pub struct SessionView {
    /// The session.
    pub session: Session,
    /// How many tasks it has.
    pub claimed: u32,
    /// The capabilities that it takes tasks of, `domain/name`, each with the version it registered.
    pub serves: Vec<(String, u32)>,
}

impl Engine {
    /// Opens a session: publishes what is new in its contracts, and takes the place of an older session of the same
    /// instance.
    pub async fn open_session(&self, caller: &Caller, manifest: Manifest) -> Result<Opened, Refusal> {
        let (environment, domain) = (manifest.environment.as_str().to_owned(), manifest.domain.clone());
        if !caller.sees(&environment) {
            return Err(Refusal::unknown("environment", environment));
        }
        if !caller.supplies(&domain) {
            return Err(Refusal::unknown("domain", domain));
        }
        for _ in 0..STALE_LIMIT {
            self.catch_up().await?;
            let shelf = self.shelf(&environment).unwrap_or_default();
            let now = self.store().now().await?;
            let session = new_session(caller, &manifest, now);
            let plan = match manifest.mode.channel() {
                Some(channel) => shelf.plan_channel(&manifest, channel)?,
                None => {
                    let mut supply = self.supply(&environment).await?;
                    // What whoever makes room performs is not there any more when this session is.
                    if let Some(older) = self.store().live_session(&session).await? {
                        supply.leave_out(&self.store().serves(older).await?);
                    }
                    shelf.plan_capabilities(&manifest, &supply)?
                }
            };
            let id = session.id;
            let other_owner =
                manifest.mode.channel().is_none().then(|| shelf.other_owner(&manifest)).flatten();
            let mut events = plan.events(&environment, now);
            events.push(session_event(&session, "session.live"));
            let published = !plan.publication.is_empty();
            let services: Vec<Service> = plan.services;
            let new = NewSession { session, services, publication: plan.publication, events };
            let superseded = match self.store().register_session(new).await? {
                Registered::Live { superseded } => superseded,
                Registered::TooManyChannels => {
                    let live = self.store().channels(&environment).await?;
                    return Err(Refusal::TooManyChannels { environment, live });
                }
                Registered::Stale => {
                    self.refresh_catalogue(&environment).await?;
                    continue;
                }
            };
            if published || shelf.revision == 0 {
                self.refresh_catalogue(&environment).await?;
            }
            if let Some(older) = superseded {
                self.forget_session(older);
                self.release(older);
                self.follow_suppliers().await?;
                self.sweep(crate::sweeps::Sweep::AbandonedClaims).await?;
            }
            self.beat_published();
            self.ask_suspects_soon();
            let mut warnings = manifest.warnings;
            warnings.extend(other_owner);
            return Ok(Opened { id, contracts: plan.applied, warnings });
        }
        Err(Refusal::Busy)
    }

    /// Notes that a session is alive; answers which of its tasks nobody wants any more, and whether it is draining.
    pub async fn heartbeat(
        &self,
        caller: &Caller,
        id: SessionId,
        running: &[TaskId],
    ) -> Result<(Vec<TaskId>, bool), Refusal> {
        let known = self.known_session(caller, id).await?;
        // Before anything is written: a flood of one session must not be felt by the others.
        known.take_heartbeat(self.store().now().await?)?;
        let status = self.store().touch_session(id).await?;
        let draining = match status {
            Some(SessionStatus::Live) => false,
            Some(SessionStatus::Draining) => true,
            Some(SessionStatus::Dead | SessionStatus::Ended) => return Err(self.why_not_live(id).await?),
            None => return Err(Refusal::unknown("session", id)),
        };
        for claim in self.store().lost_claims(id, running, LOST_AFTER_MS).await? {
            let happened = Happened::Crashed(attempt_of(claim));
            self.change_tree(claim.task.tree, Guard::Claim(claim), happened).await?;
        }
        Ok((self.store().cancelled_claims(id).await?, draining))
    }

    /// Lets a session take no more tasks; returns how many it still has.
    pub async fn drain_session(&self, caller: &Caller, id: SessionId) -> Result<usize, Refusal> {
        self.known_session(caller, id).await?;
        match self.store().drain_session(id).await? {
            Some(SessionStatus::Dead) => return Err(Refusal::SessionEnded),
            Some(_) => {}
            None => return Err(Refusal::unknown("session", id)),
        }
        self.release(id);
        self.inner.parked.leave_everywhere();
        self.follow_suppliers().await?;
        Ok(self.store().claims_of(id).await?.len())
    }

    /// Lists sessions, newest first.
    pub async fn sessions(
        &self,
        caller: &Caller,
        environment: Option<&str>,
        page: Page<SessionId>,
    ) -> Result<Vec<SessionView>, Refusal> {
        let mut environment = environment.map(str::to_owned);
        if !caller.narrow(&mut environment) {
            return Ok(Vec::new());
        }
        let environment = environment.as_deref();
        let mut shown = Vec::new();
        for session in self.store().sessions(environment, page).await? {
            let (claimed, serves) = match session.status {
                SessionStatus::Live | SessionStatus::Draining => {
                    let claims = self.store().claims_of(session.id).await?;
                    (claims.len() as u32, self.store().serves(session.id).await?)
                }
                SessionStatus::Dead | SessionStatus::Ended => (0, Vec::new()),
            };
            shown.push(SessionView { session, claimed, serves });
        }
        Ok(shown)
    }

    /// The session, if the caller opened it.
    pub(crate) async fn known_session(
        &self,
        caller: &Caller,
        id: SessionId,
    ) -> Result<Arc<KnownSession>, Refusal> {
        let known = match self.inner.sessions.sessions.get(&id) {
            Some(known) => known,
            None => {
                let session = self.store().session(id).await?;
                let session = session.ok_or_else(|| Refusal::unknown("session", id))?;
                let known = Arc::new(known(&session));
                self.inner.sessions.sessions.insert(id, Arc::clone(&known));
                known
            }
        };
        let may_act = caller.owns(known.token) && caller.sees(&known.environment);
        if may_act { Ok(known) } else { Err(Refusal::unknown("session", id)) }
    }

    /// Why the store would not give tasks to a session.
    pub(crate) async fn why_not_live(&self, id: SessionId) -> Result<Refusal, Refusal> {
        let Some(session) = self.store().session(id).await? else {
            return Ok(Refusal::unknown("session", id));
        };
        let live = self.store().live_session(&session).await?;
        let is_replaced = live.is_some_and(|other| other != id);
        Ok(if is_replaced { Refusal::Superseded } else { Refusal::SessionEnded })
    }

    /// Sends away whoever is parked for a session that takes no tasks any more, here and elsewhere.
    pub(crate) fn release(&self, id: SessionId) {
        self.inner.parked.release(id);
        self.store().tell(Wakeup::Session(id));
    }

    pub(crate) fn forget_session(&self, id: SessionId) {
        self.inner.sessions.sessions.invalidate(&id);
        // Tasks that only this session would have performed go to others.
        self.inner.parked.leave_everywhere();
    }
}

fn new_session(caller: &Caller, manifest: &Manifest, now: Timestamp) -> Session {
    Session {
        id: SessionId(mint::id(now)),
        environment: manifest.environment.as_str().to_owned(),
        domain: manifest.domain.clone(),
        instance: manifest.instance.clone(),
        channel: manifest.mode.channel().map(str::to_owned),
        build: manifest.build.clone(),
        sdk: manifest.sdk.as_ref().map(|sdk| format!("{} {}", sdk.name, sdk.version)),
        token: caller.token,
        capabilities: manifest.capabilities.iter().map(|capability| capability.name.clone()).collect(),
        status: SessionStatus::Live,
        created_at: now,
        seen_at: now,
        ended_at: None,
    }
}

fn known(session: &Session) -> KnownSession {
    let environment: Arc<str> = Arc::from(session.environment.as_str());
    let channel: Option<Arc<str>> = session.channel.as_deref().map(Arc::from);
    let names: BTreeSet<String> =
        session.capabilities.iter().map(|name| format!("{}/{name}", session.domain)).collect();
    KnownSession {
        id: session.id,
        environment: session.environment.clone(),
        domain: session.domain.clone(),
        answerer: Answerer {
            build: session.build.as_deref().map(Arc::from),
            instance: Some(Arc::from(session.instance.as_str())),
        },
        token: session.token,
        queues: names.iter().map(|name| Queue::new(&environment, name, channel.as_ref())).collect(),
        heartbeats: Mutex::default(),
    }
}

fn session_event(session: &Session, kind: &'static str) -> Event {
    let data = json!({
        "session": session.id.to_string(),
        "domain": session.domain,
        "instance": session.instance,
        "mode": Mode::of_channel(session.channel.as_deref()),
        "channel": session.channel,
        "build": session.build,
    });
    Event::of_environment(&session.environment, session.created_at, kind, data)
}
