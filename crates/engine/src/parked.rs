//! Parked claims: suppliers that wait for a task of one of their capabilities.
//!
//! Whoever writes ready tasks takes the suppliers that shall have them from here *before* it writes, and asks the store on
//! their behalf right behind its own write: both share one commit, and the task is on its way in the time of one flush.

mod left;
mod queue;
mod returning;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use sixpack_model::ids::SessionId;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use crate::assignment::Assignment;
use left::LeftBehind;
use returning::{Promise, Returning};

pub(crate) use queue::Queue;
pub(crate) use returning::KEPT_FOR;

/// Queues and sessions that are remembered of one kind: more than a busy server has.
const REMEMBERED: usize = 100_000;

/// What a parked supplier is told.
pub(crate) enum Given {
    /// It has these tasks.
    Tasks(Vec<Assignment>),
    /// Somebody else was faster: ask again.
    Nothing,
    /// The server is stopping, or the session takes no more.
    GoAway,
}

/// Where given tasks are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// With the supplier's call.
    Arrived,
    /// Here, until the supplier asks for them, or [`Parked::take_uncollected`] does.
    Kept,
}

/// A supplier waiting for tasks.
pub(crate) struct Poller {
    pub(crate) session: SessionId,
    pub(crate) max: u32,
    queues: Arc<[Queue]>,
    way: Way,
}

/// How a supplier gets what it is taken for.
enum Way {
    /// It has a call parked.
    Parked(oneshot::Sender<Given>),
    /// It is on its way back, and has room for this.
    Returning { _promise: Promise },
}

impl Poller {
    /// Whether it is not parked now, but about to be again.
    pub(crate) fn is_returning(&self) -> bool {
        matches!(self.way, Way::Returning { .. })
    }

    /// Answers its call, if it has one.
    fn send(self, given: Given) -> Result<(), Given> {
        match self.way {
            Way::Parked(call) => call.send(given),
            Way::Returning { .. } => Ok(()),
        }
    }
}

#[derive(Default)]
struct Places {
    next: u64,
    pollers: BTreeMap<u64, Poller>,
    /// Tickets by queue; the lowest has waited longest.
    queues: HashMap<Queue, BTreeSet<u64>>,
    /// The tickets of each session.
    sessions: HashMap<SessionId, BTreeSet<u64>>,
    left: LeftBehind,
    returning: Returning,
    /// Whether everybody was sent away for good: nothing is kept for anybody any more.
    closed: bool,
}

/// All parked suppliers of this server.
#[derive(Default)]
pub(crate) struct Parked {
    places: Mutex<Places>,
    /// Tasks given to a call that was given up in the same moment.
    strays: Mutex<Vec<(SessionId, Vec<Assignment>)>>,
    stray: Notify,
}

impl Parked {
    /// Parks a supplier until it is taken or its place is dropped.
    pub(crate) fn park(&self, session: SessionId, max: u32, queues: Arc<[Queue]>) -> Place<'_> {
        let (give, given) = oneshot::channel();
        let mut places = self.lock();
        places.next += 1;
        let ticket = places.next;
        places.returning.is_back(session, Instant::now());
        let kept = places.returning.collect(session, max as usize);
        if !kept.is_empty() {
            // As if it had been parked and taken in this very moment. The other end is here.
            places.returning.taken(session, max, &queues, kept.len());
            places.returning.given(session, kept.len(), Instant::now());
            let _ = give.send(Given::Tasks(kept));
            return Place { parked: self, session, ticket, given, worth_a_look: false, is_taken: true };
        }
        for queue in queues.iter() {
            places.queues.entry(queue.clone()).or_default().insert(ticket);
        }
        places.sessions.entry(session).or_default().insert(ticket);
        let worth_a_look = places.left.worth_a_look(session, &queues);
        places.pollers.insert(ticket, Poller { session, max, queues, way: Way::Parked(give) });
        Place { parked: self, session, ticket, given, worth_a_look, is_taken: false }
    }

    /// Notes tasks that were written, or given back, and are in nobody's hands. Called behind the commit, and before
    /// looking who is parked: whoever parks later than that looks.
    pub(crate) fn leave<'a>(&self, queues: impl IntoIterator<Item = &'a Queue>) {
        self.lock().left.leave(queues);
    }

    /// Notes that there may be tasks in any queue.
    pub(crate) fn leave_everywhere(&self) {
        self.lock().left.leave_everywhere();
    }

    /// Where the count of writes stands; to be asked before a look, and given to [`Parked::looked`] behind it.
    pub(crate) fn writes(&self) -> u64 {
        self.lock().left.writes
    }

    /// Whether a session may find anything that was left in these queues since it last looked.
    pub(crate) fn worth_a_look(&self, session: SessionId, queues: &[Queue]) -> bool {
        self.lock().left.worth_a_look(session, queues)
    }

    /// Notes a look that left nothing behind.
    pub(crate) fn looked(&self, session: SessionId, writes: u64) {
        self.lock().left.looked(session, writes);
    }

    /// Takes suppliers for so many tasks of a queue; those who have waited longest first. For a queue of a channel in
    /// which nobody waits these are the deployed ones: whether they can do a task is the store's to know.
    pub(crate) fn take(&self, queue: &Queue, tasks: usize) -> Vec<Poller> {
        let mut places = self.lock();
        let deployed = queue.deployed().filter(|_| !places.queues.contains_key(queue));
        let queue = deployed.as_ref().unwrap_or(queue);
        let mut taken = Vec::new();
        let mut room = 0;
        while room < tasks {
            let Some(ticket) = places.queues.get(queue).and_then(|tickets| tickets.first().copied()) else {
                break;
            };
            let Some(poller) = places.remove(ticket) else { break };
            places.returning.taken(poller.session, poller.max, &poller.queues, tasks - room);
            room += poller.max as usize;
            taken.push(poller);
        }
        taken
    }

    /// Takes a supplier for a task of a queue for which nobody is parked: one that has room, and is on its way back.
    pub(crate) fn take_returning(&self, queue: &Queue) -> Option<Poller> {
        let (session, promise) = self.lock().returning.take(queue, Instant::now())?;
        let way = Way::Returning { _promise: promise };
        Some(Poller { session, max: 1, queues: Arc::from([]), way })
    }

    /// Answers the parked call, or keeps the tasks until the supplier is back; gives them back when nobody waits there any more.
    pub(crate) fn give(&self, poller: Poller, given: Given) -> Result<Delivery, Given> {
        match given {
            Given::Tasks(tasks) if poller.is_returning() => self.keep(poller.session, tasks),
            // Nothing came of the promise, which ends with this.
            _ if poller.is_returning() => Ok(Delivery::Arrived),
            given => self.lock().send(poller, given).map(|()| Delivery::Arrived),
        }
    }

    /// Hands tasks to a supplier that may be back by now, or keeps them until it is.
    fn keep(&self, session: SessionId, tasks: Vec<Assignment>) -> Result<Delivery, Given> {
        let mut places = self.lock();
        if places.closed {
            return Err(Given::Tasks(tasks));
        }
        let ticket = places.sessions.get(&session).and_then(|tickets| tickets.first().copied());
        let parked = ticket.and_then(|ticket| places.remove(ticket));
        let sent = match parked {
            Some(poller) => {
                places.returning.taken(session, poller.max, &poller.queues, tasks.len());
                places.send(poller, Given::Tasks(tasks))
            }
            None => Err(Given::Tasks(tasks)),
        };
        match sent {
            Err(Given::Tasks(tasks)) => {
                places.returning.keep(session, tasks, Instant::now());
                Ok(Delivery::Kept)
            }
            _ => Ok(Delivery::Arrived),
        }
    }

    /// Up to `max` of the tasks that are kept for a session.
    pub(crate) fn collect(&self, session: SessionId, max: usize) -> Vec<Assignment> {
        self.lock().returning.collect(session, max)
    }

    /// What was kept for a session for [`KEPT_FOR`], and nobody has asked for.
    pub(crate) fn take_uncollected(&self, session: SessionId) -> Vec<Assignment> {
        self.lock().returning.take_uncollected(session, Instant::now())
    }

    /// Whether anybody is parked who would be taken for a queue.
    pub(crate) fn waits(&self, queue: &Queue) -> bool {
        let places = self.lock();
        places.queues.contains_key(queue)
            || queue.deployed().is_some_and(|deployed| places.queues.contains_key(&deployed))
    }

    /// How many calls a session has parked.
    pub(crate) fn places_of(&self, session: SessionId) -> usize {
        self.lock().sessions.get(&session).map_or(0, BTreeSet::len)
    }

    /// Sends away whoever is parked for a session.
    pub(crate) fn release(&self, session: SessionId) {
        let mut places = self.lock();
        places.left.forget(session);
        for ticket in places.sessions.get(&session).cloned().unwrap_or_default() {
            if let Some(poller) = places.remove(ticket) {
                // Nobody there any more is as good as gone away.
                let _ = poller.send(Given::GoAway);
            }
        }
        let kept = places.returning.forget(session);
        drop(places);
        self.stray(session, kept);
    }

    /// Has everybody look.
    pub(crate) fn wake_all(&self) {
        let mut places = self.lock();
        places.queues.clear();
        places.sessions.clear();
        for poller in std::mem::take(&mut places.pollers).into_values() {
            let _ = poller.send(Given::Nothing);
        }
    }

    /// Sends everybody away.
    pub(crate) fn release_all(&self) {
        let mut places = self.lock();
        places.queues.clear();
        places.sessions.clear();
        for poller in std::mem::take(&mut places.pollers).into_values() {
            let _ = poller.send(Given::GoAway);
        }
        places.closed = true;
        let kept = places.returning.forget_all();
        drop(places);
        kept.into_iter().for_each(|(session, tasks)| self.stray(session, tasks));
    }

    /// Notes tasks that never reach the supplier that they were claimed for.
    fn stray(&self, session: SessionId, tasks: Vec<Assignment>) {
        if !tasks.is_empty() {
            self.strays.lock().unwrap_or_else(PoisonError::into_inner).push((session, tasks));
            self.stray.notify_one();
        }
    }

    /// Waits until there are strays.
    pub(crate) async fn strayed(&self) {
        self.stray.notified().await;
    }

    /// Tasks whose call was given up before it could carry them to the supplier.
    pub(crate) fn take_strays(&self) -> Vec<(SessionId, Vec<Assignment>)> {
        std::mem::take(&mut *self.strays.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Places {
    /// Answers a call, and notes what that means for when its supplier comes back.
    fn send(&mut self, poller: Poller, given: Given) -> Result<(), Given> {
        let session = poller.session;
        let tasks = if let Given::Tasks(tasks) = &given { Some(tasks.len()) } else { None };
        let sent = poller.send(given);
        match (&sent, tasks) {
            (Ok(()), Some(tasks)) => self.returning.given(session, tasks, Instant::now()),
            (Ok(()), None) => self.returning.given_nothing(session),
            (Err(_), _) => self.returning.is_gone(session),
        }
        sent
    }

    fn remove(&mut self, ticket: u64) -> Option<Poller> {
        let poller = self.pollers.remove(&ticket)?;
        if let Some(tickets) = self.sessions.get_mut(&poller.session) {
            tickets.remove(&ticket);
            if tickets.is_empty() {
                self.sessions.remove(&poller.session);
            }
        }
        for queue in poller.queues.iter() {
            if let Some(tickets) = self.queues.get_mut(queue) {
                tickets.remove(&ticket);
                if tickets.is_empty() {
                    self.queues.remove(queue);
                }
            }
        }
        Some(poller)
    }
}

/// The place of one parked supplier; dropping it leaves.
pub(crate) struct Place<'a> {
    parked: &'a Parked,
    session: SessionId,
    ticket: u64,
    given: oneshot::Receiver<Given>,
    /// False when nothing was left for the session since it last looked.
    pub(crate) worth_a_look: bool,
    /// Whether it was taken when it came, and what it is given is there.
    pub(crate) is_taken: bool,
}

impl Place<'_> {
    /// Waits to be given something.
    pub(crate) async fn given(&mut self) -> Given {
        (&mut self.given).await.unwrap_or(Given::Nothing)
    }

    /// Leaves. When the supplier was taken in this very moment, what it is being given is still to come.
    pub(crate) fn leave(&self) -> bool {
        self.parked.lock().remove(self.ticket).is_some()
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.leave();
        self.given.close();
        if let Ok(Given::Tasks(tasks)) = self.given.try_recv() {
            self.parked.stray(self.session, tasks);
        }
    }
}
