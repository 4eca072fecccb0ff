//! Effects: the world behind the suppliers, which remembers what was really made and undone.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::routing::{get, put};

/// What is known of one idempotency key.
#[derive(Debug, Default, Clone)]
pub(crate) struct Effect {
    /// Whether it is there now.
    pub(crate) there: bool,
    /// How often it was asked for.
    pub(crate) made: u32,
    /// How often it was asked to be removed.
    pub(crate) undone: u32,
    /// When it was first and last asked for, in microseconds since 1970, as the store tells the time.
    pub(crate) first_made_us: u64,
    pub(crate) last_made_us: u64,
    /// The highest number of an attempt that asked for it.
    pub(crate) attempt: u64,
    /// The key of the effect that it relies on.
    pub(crate) after: Option<String>,
}

#[derive(Default)]
struct World {
    effects: BTreeMap<String, Effect>,
    wrong: Vec<String>,
}

/// All effects by idempotency key.
#[derive(Clone, Default)]
pub(crate) struct Effects {
    world: Arc<Mutex<World>>,
}

impl Effects {
    /// Serves them on a free port; returns the address.
    pub(crate) async fn serve(&self) -> anyhow::Result<String> {
        let router = Router::new()
            .route("/effects/{key}", put(make).get(look).delete(undo))
            .route("/health", get(|| async { StatusCode::OK }))
            .with_state(self.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr().context("the effects' address")?;
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(format!("http://{address}"))
    }

    /// What is there now, and what ever was.
    pub(crate) fn all(&self) -> BTreeMap<String, Effect> {
        self.world().effects.clone()
    }

    /// What was made or removed out of turn.
    pub(crate) fn wrong(&self) -> Vec<String> {
        self.world().wrong.clone()
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn make(
    State(effects): State<Effects>,
    Path(key): Path<String>,
    Query(told): Query<BTreeMap<String, String>>,
) -> StatusCode {
    let mut world = effects.world();
    let after = told.get("after").cloned();
    if let Some(after) = after.as_ref().filter(|after| !world.effects.contains_key(*after)) {
        let wrong = format!("effect {key} was made before {after}, which it relies on");
        world.wrong.push(wrong);
    }
    let now_us = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros() as u64;
    let attempt = told.get("attempt").and_then(|attempt| attempt.parse().ok()).unwrap_or_default();
    let effect = world.effects.entry(key.clone()).or_default();
    let changed = effect.made > 0 && effect.after != after;
    let before = effect.after.clone();
    effect.there = true;
    effect.made += 1;
    if effect.made == 1 {
        effect.first_made_us = now_us;
    }
    effect.last_made_us = now_us;
    effect.attempt = effect.attempt.max(attempt);
    effect.after = after.clone();
    if changed {
        world.wrong.push(format!("effect {key} was made after {before:?}, and then after {after:?}"));
    }
    StatusCode::OK
}

async fn undo(State(effects): State<Effects>, Path(key): Path<String>) -> StatusCode {
    let mut world = effects.world();
    let relying = world.effects.iter().find(|(_, other)| other.there && other.after.as_deref() == Some(&key));
    if let Some((relying, _)) = relying {
        let wrong = format!("effect {key} was removed before {relying}, which relies on it");
        world.wrong.push(wrong);
    }
    let effect = world.effects.entry(key).or_default();
    effect.there = false;
    effect.undone += 1;
    StatusCode::OK
}

async fn look(State(effects): State<Effects>, Path(key): Path<String>) -> StatusCode {
    let there = effects.world().effects.get(&key).is_some_and(|effect| effect.there);
    if there { StatusCode::OK } else { StatusCode::NOT_FOUND }
}
