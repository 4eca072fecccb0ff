//! The board: wake-ups that are to be told, those that were heard, and how both travel as text.
//!
//! Whatever is told twice within a moment is told once. More than fits is told as [`Wakeup::Anything`].

use std::collections::HashMap;
use std::fmt::Write;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sixpack_model::ids::{RequestId, SessionId, TreeId};
use tokio::sync::Notify;
use uuid::Uuid;

use super::limits::{NOTIFY_BYTES, WAKEUPS};
use crate::wakeups::Wakeup;

/// What the first line of a text says behind the sender when it is told to itself.
const ECHO: &str = "echo";

/// What is to be told or was heard, with how often.
type Told = HashMap<Wakeup, u32>;

/// The wake-ups of one server.
pub(super) struct Board {
    /// Tells this server from others: what it has told itself it need not hear.
    sender: u64,
    to_tell: Mutex<Told>,
    /// There is something to tell.
    pub(super) telling: Notify,
    heard: Mutex<Told>,
    hearing: Notify,
    proven: AtomicBool,
    /// The last echo that came back.
    echoed: AtomicU64,
    pub(super) echo: Notify,
}

impl Default for Board {
    fn default() -> Self {
        Self {
            sender: fastrand::u64(..),
            to_tell: Mutex::default(),
            telling: Notify::new(),
            heard: Mutex::default(),
            hearing: Notify::new(),
            proven: AtomicBool::new(false),
            echoed: AtomicU64::new(0),
            echo: Notify::new(),
        }
    }
}

impl Board {
    pub(super) fn is_proven(&self) -> bool {
        self.proven.load(Ordering::Relaxed)
    }

    pub(super) fn set_proven(&self, proven: bool) {
        self.proven.store(proven, Ordering::Relaxed);
    }

    /// Notes what is to be told.
    pub(super) fn tell(&self, wakeup: Wakeup) {
        add(&mut lock(&self.to_tell), wakeup, 1);
        self.telling.notify_one();
    }

    /// Notes what was heard, or has to be taken as heard.
    pub(super) fn hear(&self, wakeup: Wakeup, times: u32) {
        add(&mut lock(&self.heard), wakeup, times);
        self.hearing.notify_one();
    }

    /// Waits until something was heard, and takes all of it.
    pub(super) async fn heard(&self) -> Vec<(Wakeup, u32)> {
        loop {
            let heard = std::mem::take(&mut *lock(&self.heard));
            if !heard.is_empty() {
                return heard.into_iter().collect();
            }
            self.hearing.notified().await;
        }
    }

    /// Takes what is to be told, as texts of a size that PostgreSQL takes.
    pub(super) fn take(&self) -> Vec<String> {
        let told = std::mem::take(&mut *lock(&self.to_tell));
        let mut texts: Vec<String> = Vec::new();
        for (wakeup, times) in told {
            let line = line(&wakeup, times);
            match texts.last_mut().filter(|text| text.len() + line.len() < NOTIFY_BYTES) {
                Some(text) => text.push_str(&line),
                None => texts.push(format!("{:x}{line}", self.sender)),
            }
        }
        texts
    }

    /// A text that only this server listens to.
    pub(super) fn echo_of(&self, number: u64) -> String {
        format!("{:x} {ECHO} {number}", self.sender)
    }

    /// The last echo that came back.
    pub(super) fn last_echo(&self) -> u64 {
        self.echoed.load(Ordering::Relaxed)
    }

    /// Whether this echo, or a later one, has come back.
    pub(super) fn has_echoed(&self, number: u64) -> bool {
        self.last_echo() >= number
    }

    /// Reads a text. What a later build tells and this one does not know may have been anything.
    pub(super) fn read(&self, text: &str) {
        let mut lines = text.lines();
        let mut first = lines.next().unwrap_or_default().split(' ');
        if first.next().and_then(|sender| u64::from_str_radix(sender, 16).ok()) == Some(self.sender) {
            if let (Some(ECHO), Some(Ok(number))) = (first.next(), first.next().map(str::parse)) {
                self.echoed.fetch_max(number, Ordering::Relaxed);
                self.echo.notify_one();
            }
            return;
        }
        if first.next().is_some() {
            return;
        }
        for line in lines {
            let (wakeup, times) = parsed(line).unwrap_or((Wakeup::Anything, 1));
            self.hear(wakeup, times);
        }
    }
}

fn add(told: &mut Told, wakeup: Wakeup, times: u32) {
    if told.contains_key(&Wakeup::Anything) {
        return;
    }
    if wakeup == Wakeup::Anything || (told.len() >= WAKEUPS && !told.contains_key(&wakeup)) {
        told.clear();
        told.insert(Wakeup::Anything, 1);
        return;
    }
    let count = told.entry(wakeup).or_default();
    *count = count.saturating_add(times);
}

/// One line of a text, with its beginning.
fn line(wakeup: &Wakeup, times: u32) -> String {
    let mut line = String::from("\n");
    let written = match wakeup {
        Wakeup::Task { environment, contract, channel } => {
            let channel = channel.as_deref().unwrap_or_default();
            write!(line, "task {times}\t{environment}\t{contract}\t{channel}")
        }
        Wakeup::Request(id) => write!(line, "request {:x}", id.0.as_u128()),
        Wakeup::Tree(id, version) => write!(line, "tree {:x} {version}", id.0.as_u128()),
        Wakeup::Session(id) => write!(line, "session {:x}", id.0.as_u128()),
        Wakeup::Catalogue => write!(line, "catalogue"),
        Wakeup::Lines => write!(line, "lines"),
        Wakeup::Tokens => write!(line, "tokens"),
        Wakeup::Events => write!(line, "events"),
        Wakeup::Anything => write!(line, "anything"),
    };
    written.expect("a text takes whatever is written to it");
    line
}

fn parsed(line: &str) -> Option<(Wakeup, u32)> {
    let (kind, rest) = line.split_once(' ').unwrap_or((line, ""));
    let wakeup = match kind {
        "task" => {
            let mut parts = rest.split('\t');
            let times = parts.next()?.parse().ok()?;
            let (environment, contract) = (Arc::from(parts.next()?), Arc::from(parts.next()?));
            let channel = parts.next().filter(|channel| !channel.is_empty()).map(Arc::from);
            return Some((Wakeup::Task { environment, contract, channel }, times));
        }
        "request" => Wakeup::Request(RequestId(id(rest)?)),
        "tree" => {
            let (tree, version) = rest.split_once(' ')?;
            Wakeup::Tree(TreeId(id(tree)?), u64::from_str(version).ok()?)
        }
        "session" => Wakeup::Session(SessionId(id(rest)?)),
        "catalogue" => Wakeup::Catalogue,
        "lines" => Wakeup::Lines,
        "tokens" => Wakeup::Tokens,
        "events" => Wakeup::Events,
        _ => return None,
    };
    Some((wakeup, 1))
}

fn id(text: &str) -> Option<Uuid> {
    u128::from_str_radix(text, 16).ok().map(Uuid::from_u128)
}

fn lock(told: &Mutex<Told>) -> MutexGuard<'_, Told> {
    // Single inserts: a panic elsewhere leaves nothing half done.
    told.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Wakeup> {
        let task = |channel: Option<&str>| Wakeup::Task {
            environment: Arc::from("default"),
            contract: Arc::from("shop/customer"),
            channel: channel.map(Arc::from),
        };
        let id = Uuid::from_u128(u128::MAX - 7);
        vec![
            task(None),
            task(Some("ada-laptop")),
            Wakeup::Request(RequestId(id)),
            Wakeup::Tree(TreeId(id), 7),
            Wakeup::Session(SessionId(id)),
            Wakeup::Catalogue,
            Wakeup::Lines,
            Wakeup::Tokens,
            Wakeup::Events,
        ]
    }

    #[tokio::test]
    async fn what_one_tells_another_hears_as_often_and_itself_does_not() {
        let (here, there) = (Board::default(), Board::default());
        all().into_iter().for_each(|wakeup| here.tell(wakeup));
        here.tell(all().swap_remove(0));
        let texts = here.take();
        assert_eq!(texts.len(), 1, "they fit into one");
        here.read(&texts[0]);
        there.read(&texts[0]);
        assert!(lock(&here.heard).is_empty());
        let heard: HashMap<_, _> = there.heard().await.into_iter().collect();
        assert_eq!(heard.len(), all().len());
        for (place, wakeup) in all().into_iter().enumerate() {
            assert_eq!(heard.get(&wakeup), Some(&if place == 0 { 2 } else { 1 }), "{wakeup:?}");
        }
        assert!(here.take().is_empty());
    }

    #[tokio::test]
    async fn what_is_too_much_or_not_understood_may_have_been_anything() {
        let (here, there) = (Board::default(), Board::default());
        let request = |number: usize| Wakeup::Request(RequestId(Uuid::from_u128(number as u128)));
        (0..WAKEUPS).for_each(|number| here.tell(request(number)));
        let texts = here.take();
        assert!(texts.len() > 1 && texts.iter().all(|text| text.len() < NOTIFY_BYTES));
        (0..=WAKEUPS).for_each(|number| here.tell(request(number)));
        here.tell(Wakeup::Events);
        for text in here.take() {
            there.read(&text);
        }
        assert_eq!(there.heard().await, [(Wakeup::Anything, 1)]);
        there.read("1f\ntomorrow 7");
        assert_eq!(there.heard().await, [(Wakeup::Anything, 1)]);
    }

    #[test]
    fn an_echo_is_heard_by_nobody_else() {
        let (here, there) = (Board::default(), Board::default());
        let echo = here.echo_of(3);
        there.read(&echo);
        assert!(!there.has_echoed(3) && lock(&there.heard).is_empty());
        here.read(&echo);
        assert!(here.has_echoed(3) && !here.has_echoed(4));
    }
}
