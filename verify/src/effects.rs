//! Effects: the world behind the suppliers, which remembers what was really made and undone.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use axum::Router;
use axum::extract::{Path, State};
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
}

/// All effects by idempotency key.
#[derive(Clone, Default)]
pub(crate) struct Effects {
    effects: Arc<Mutex<BTreeMap<String, Effect>>>,
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
        self.effects.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, key: String, change: impl FnOnce(&mut Effect)) {
        change(self.effects.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default());
    }
}

async fn make(State(effects): State<Effects>, Path(key): Path<String>) -> StatusCode {
    effects.change(key, |effect| {
        effect.there = true;
        effect.made += 1;
    });
    StatusCode::OK
}

async fn undo(State(effects): State<Effects>, Path(key): Path<String>) -> StatusCode {
    effects.change(key, |effect| {
        effect.there = false;
        effect.undone += 1;
    });
    StatusCode::OK
}

async fn look(State(effects): State<Effects>, Path(key): Path<String>) -> StatusCode {
    let there = effects.all().get(&key).is_some_and(|effect| effect.there);
    if there { StatusCode::OK } else { StatusCode::NOT_FOUND }
}
