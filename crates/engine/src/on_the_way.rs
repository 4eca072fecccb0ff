//! Tasks on their way to a call: when the call is given up before they arrive, they go back.

use sixpack_model::ids::SessionId;

use crate::Engine;
use crate::assignment::Assignment;

/// Tasks that were claimed for a call which may be gone by now.
pub(crate) struct OnTheWay {
    engine: Engine,
    session: SessionId,
    tasks: Vec<Assignment>,
}

impl OnTheWay {
    pub(crate) fn new(engine: &Engine, session: SessionId, tasks: Vec<Assignment>) -> Self {
        Self { engine: engine.clone(), session, tasks }
    }

    /// The call has them.
    pub(crate) fn arrive(mut self) -> Vec<Assignment> {
        std::mem::take(&mut self.tasks)
    }
}

impl Drop for OnTheWay {
    fn drop(&mut self) {
        let tasks = std::mem::take(&mut self.tasks);
        // Without a runtime the server has ended, and the session's next heartbeat does not name them.
        if let (false, Ok(runtime)) = (tasks.is_empty(), tokio::runtime::Handle::try_current()) {
            let (engine, session) = (self.engine.clone(), self.session);
            let going_back = self.engine.inner.going_back.clone();
            going_back.spawn_on(async move { engine.give_back(session, &tasks).await }, &runtime);
        }
    }
}
