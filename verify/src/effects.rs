//! Effects: the world behind the suppliers, which remembers what was really made and undone.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::routing::{get, put};

use crate::faults::moments::now_us;

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
    /// The attempt that asked for it last, and the process.
    pub(crate) last_attempt: u64,
    pub(crate) last_by: u32,
    /// When it was last asked to be removed.
    pub(crate) last_undone_us: u64,
    /// The key of the effect that it relies on.
    pub(crate) after: Option<String>,
}

#[derive(Default)]
struct World {
    effects: BTreeMap<String, Effect>,
    wrong: Vec<String>,
}

impl World {
    /// Somebody asks for an effect; what it relies on has to be there, and is always the same.
    fn make(&mut self, key: String, after: Option<String>, (attempt, by): (u64, u32), now_us: u64) {
        if let Some(after) = after.as_ref().filter(|after| !self.effects.contains_key(*after)) {
            self.wrong.push(format!("effect {key} was made before {after}, which it relies on"));
        }
        let effect = self.effects.entry(key.clone()).or_default();
        if effect.made == 0 {
            effect.first_made_us = now_us;
        } else if effect.after != after {
            self.wrong
                .push(format!("effect {key} was made after {:?}, and then after {after:?}", effect.after));
        }
        effect.there = true;
        effect.made += 1;
        effect.last_made_us = now_us;
        effect.attempt = effect.attempt.max(attempt);
        (effect.last_attempt, effect.last_by) = (attempt, by);
        effect.after = after;
    }

    /// Somebody removes an effect, made or not; nothing that is there may rely on it. But for what was removed before that, and is there because
    /// somebody who stood still has made it once more: nobody could know of it, and it is removed once more too.
    fn undo(&mut self, key: String, now_us: u64) {
        let relies =
            |other: &Effect| other.there && other.undone == 0 && other.after.as_deref() == Some(key.as_str());
        if let Some((relying, _)) = self.effects.iter().find(|(_, other)| relies(other)) {
            self.wrong.push(format!("effect {key} was removed before {relying}, which relies on it"));
        }
        let effect = self.effects.entry(key).or_default();
        effect.there = false;
        effect.undone += 1;
        effect.last_undone_us = now_us;
    }
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
    let attempt = told.get("attempt").and_then(|attempt| attempt.parse().ok()).unwrap_or_default();
    let by = told.get("by").and_then(|by| by.parse().ok()).unwrap_or_default();
    effects.world().make(key, told.get("after").cloned(), (attempt, by), now_us());
    StatusCode::OK
}

async fn undo(State(effects): State<Effects>, Path(key): Path<String>) -> StatusCode {
    effects.world().undo(key, now_us());
    StatusCode::OK
}

async fn look(State(effects): State<Effects>, Path(key): Path<String>) -> StatusCode {
    let there = effects.world().effects.get(&key).is_some_and(|effect| effect.there);
    if there { StatusCode::OK } else { StatusCode::NOT_FOUND }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn make(world: &mut World, key: &str, after: Option<&str>) {
        world.make(key.to_owned(), after.map(str::to_owned), (1, 1), 0);
    }

    #[test]
    fn what_is_made_before_what_it_relies_on_or_from_something_else_is_found() {
        let mut world = World::default();
        make(&mut world, "a", None);
        make(&mut world, "b", Some("a"));
        make(&mut world, "b", Some("a"));
        assert_eq!(world.wrong, Vec::<String>::new());
        make(&mut world, "b", None);
        assert_eq!(world.wrong.len(), 1);
        make(&mut world, "c", Some("d"));
        assert_eq!(world.wrong.len(), 2);
    }

    #[test]
    fn what_is_removed_before_what_relies_on_it_is_found() {
        let mut world = World::default();
        make(&mut world, "a", None);
        make(&mut world, "b", Some("a"));
        world.undo("b".to_owned(), 0);
        world.undo("a".to_owned(), 0);
        // Somebody stood still and has made it once more.
        make(&mut world, "b", Some("a"));
        world.undo("a".to_owned(), 0);
        assert_eq!(world.wrong, Vec::<String>::new());
        make(&mut world, "c", None);
        make(&mut world, "d", Some("c"));
        world.undo("c".to_owned(), 0);
        assert_eq!(world.wrong.len(), 1);
        assert!(!world.effects["c"].there);
    }

    #[test]
    fn what_was_made_is_remembered_from_the_first_to_the_last_time() {
        let mut world = World::default();
        world.make("a".to_owned(), None, (2, 1), 10);
        world.make("a".to_owned(), None, (1, 1), 20);
        let effect = &world.effects["a"];
        assert_eq!((effect.made, effect.attempt), (2, 2));
        assert_eq!((effect.first_made_us, effect.last_made_us), (10, 20));
    }
}
