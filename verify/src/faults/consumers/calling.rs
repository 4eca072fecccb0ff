//! Calling: any server, and again any server when nobody has answered, until somebody does.

use std::time::Duration;

use serde_json::Value;

use super::super::journal::{Act, Answer, Call, End};
use super::{Consumer, PAUSE};
use crate::api::Reply;

/// A consumer insists for so long: longer than any restart.
const INSIST: Duration = Duration::from_secs(60);

/// And for so long once nothing is struck any more: longer than anything may take by then.
const INSIST_HEALED: Duration = Duration::from_secs(15);

/// What is sent, and what for.
pub(super) struct Intent<'a> {
    pub(super) act: Act,
    pub(super) subject: &'a str,
    pub(super) path: &'a str,
    pub(super) body: Option<&'a Value>,
    pub(super) fence: Option<u64>,
    pub(super) outcome: Option<&'static str>,
}

impl<'a> Intent<'a> {
    /// Without a body, it only looks.
    pub(super) fn look(act: Act, subject: &'a str, path: &'a str) -> Self {
        Self { act, subject, path, body: None, fence: None, outcome: None }
    }
}

/// An answer, and when the call was begun that it belongs to.
pub(super) struct Heard {
    pub(super) end: End,
    pub(super) answer: Answer,
    pub(super) begun_us: u64,
}

impl Consumer {
    /// Sends to any server until one answers; what a server refuses is an answer too.
    pub(super) async fn insist(&mut self, intent: Intent<'_>) -> Option<Heard> {
        let first_us = self.journal.now_us();
        loop {
            let server = self.random.usize(..self.servers.len());
            let begun_us = self.journal.now_us();
            let reply = self.send(server, &intent).await;
            let call = Call {
                consumer: self.number,
                act: intent.act,
                subject: intent.subject.to_owned(),
                fence: intent.fence,
                outcome: intent.outcome,
                server,
            };
            let (end, answer) = self.journal.note(call, begun_us, &reply);
            if end != End::Maybe {
                return Some(Heard { end, answer, begun_us });
            }
            if self.is_too_late(first_us, INSIST) {
                self.journal.wrong(format!("{}: nobody answered since {first_us}", intent.path));
                return None;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Whether something that was begun then lasts for longer than it may.
    pub(super) fn is_too_late(&self, begun_us: u64, limit: Duration) -> bool {
        let over = |since_us: u64, limit: Duration| {
            self.journal.now_us().saturating_sub(since_us) > limit.as_micros() as u64
        };
        over(begun_us, limit)
            || self.healed.since_us().is_some_and(|healed_us| over(healed_us.max(begun_us), INSIST_HEALED))
    }

    async fn send(&self, server: usize, intent: &Intent<'_>) -> anyhow::Result<Reply> {
        let api = &self.servers[server];
        match intent.body {
            None => api.look(intent.path).await,
            Some(body) => {
                let key = matches!(intent.act, Act::Ask | Act::AskOther).then_some(intent.subject);
                api.post(intent.path, body, key).await
            }
        }
    }
}
