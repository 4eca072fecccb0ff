//! Diagnosing: what has become of a leased dataset, in one of three answers.

use serde_json::{Value, json};
use sixpack_engine::{Assignment, DiagnosisView, Refusal, Sweep};
use sixpack_model::diagnosis::Conclusion;
use sixpack_model::ids::SessionId;
use sixpack_model::lease::{Lease, LeaseOutcome, LeaseStatus};
use sixpack_model::plan::Answer;
use sixpack_model::tree::{PartStatus, Verdict};

use crate::town::{SOON, Town, with_pair};

/// A town with one pair, leased a minute ago.
async fn leased() -> (Town, SessionId, SessionId, Lease) {
    let (town, a, b) = with_pair().await;
    let id = town.ask("shop/pair", json!({})).await;
    town.settle(&[a, b]).await;
    let lease = town.request(id).await.leases.remove(0);
    town.pass_s(30, &[a, b]).await;
    (town, a, b, lease)
}

fn says(verdict: Verdict, facts: Value, message: &str) -> Answer {
    Answer::Checked { verdict, facts: Some(facts), message: Some(message.to_owned()) }
}

impl Town {
    async fn diagnose(&self, lease: &Lease) -> Result<DiagnosisView, Refusal> {
        self.engine.diagnose_lease(&self.consumer(), lease.id).await
    }

    async fn asked_now(&self, session: SessionId) -> Assignment {
        let claimed =
            self.engine.claim(&self.supplier(), session, 1, SOON).await.expect("the session is live");
        claimed.into_iter().next().expect("a task comes soon")
    }

    /// Diagnoses while both services answer.
    async fn diagnosed(&self, lease: &Lease, answers: [(SessionId, Answer); 2]) -> DiagnosisView {
        let answering = async {
            for (session, answer) in answers {
                let task = self.asked_now(session).await;
                self.answer(session, &task, answer).await;
            }
        };
        tokio::join!(self.diagnose(lease), answering).0.expect("diagnosed")
    }
}

#[tokio::test]
async fn what_holds_as_it_did_is_still_valid() {
    let (town, a, b, lease) = leased().await;
    let valid = || says(Verdict::Valid, json!({}), "");
    let view = town.diagnosed(&lease, [(a, valid()), (b, valid())]).await;
    assert_eq!(view.diagnosis.conclusion, Conclusion::StillValid);
    assert_eq!(view.tree.root().status, PartStatus::Leased);
    let (then, now) = (&view.diagnosis.parts[0].then, &view.diagnosis.parts[0].now);
    let at = |known: &sixpack_model::tree::Handed| known.evidence.as_ref().expect("asked").at;
    assert_eq!(at(now).duration_since(at(then)).as_secs(), 30);
}

#[tokio::test]
async fn what_changed_under_the_lease_is_named_and_stays_with_its_holder() {
    let (town, a, b, lease) = leased().await;
    let closed = says(Verdict::Invalid, json!({ "status": "CLOSED" }), "the account is closed");
    let view = town.diagnosed(&lease, [(b, closed), (a, says(Verdict::Valid, json!({}), ""))]).await;
    assert_eq!(view.diagnosis.conclusion, Conclusion::Changed { first: 2 });
    let message = &view.diagnosis.message;
    assert!(
        message.contains("`b` says that second › b/second@1") && message.contains("is closed"),
        "{message}"
    );
    assert_eq!(
        town.engine.lease(&town.consumer(), lease.id).await.expect("there").0.status,
        LeaseStatus::Held
    );
    // Asked again after a restart, it is still held against what it was at hand-over.
    let town = town.restarted().await;
    let back = || says(Verdict::Valid, json!({ "status": "OPEN" }), "");
    let view = town.diagnosed(&lease, [(b, back()), (a, says(Verdict::Valid, json!({}), ""))]).await;
    assert_eq!(view.diagnosis.conclusion, Conclusion::Changed { first: 2 });
    assert_eq!(view.diagnosis.differences[0].pointer, "/status");
    assert_eq!(view.diagnosis.parts[1].then.facts.as_deref(), Some(&json!({})));
}

#[tokio::test]
async fn a_service_that_is_away_or_silent_is_a_check_that_fails() {
    let (town, a, b, lease) = leased().await;
    let silent = async {
        let task = town.asked_now(a).await;
        town.answer(a, &task, says(Verdict::Valid, json!({}), "")).await;
        town.asked_now(b).await;
        town.clock.advance_ms(2_001);
        town.engine.sweep(Sweep::DueTrees).await.expect("swept");
    };
    let view = tokio::join!(town.diagnose(&lease), silent).0.expect("diagnosed");
    assert_eq!(view.diagnosis.conclusion, Conclusion::CheckFailed { first: Some(2) });
    assert!(view.diagnosis.message.contains("b/second did not answer in time"), "{}", view.diagnosis.message);
    town.engine.drain_session(&town.supplier(), a).await.expect("drained");
    let view = town.diagnose(&lease).await.expect("diagnosed");
    assert_eq!(view.diagnosis.conclusion, Conclusion::CheckFailed { first: Some(1) });
    assert!(view.diagnosis.message.contains("no supplier of a/first"), "{}", view.diagnosis.message);
}

#[tokio::test]
async fn what_has_ended_is_not_diagnosed_and_nobody_diagnoses_for_others() {
    let (town, _, _, lease) = leased().await;
    let stranger = town.engine.diagnose_lease(&town.supplier(), lease.id).await;
    assert!(matches!(stranger, Err(Refusal::Unknown { what: "lease", .. })), "{stranger:?}");
    town.clock.advance_ms(30_000);
    let late = town.diagnose(&lease).await;
    assert!(matches!(late, Err(Refusal::LeaseEnded(LeaseStatus::Expired))), "{late:?}");
    let (town, a, _, lease) = leased().await;
    let ending = async {
        town.asked_now(a).await;
        let released = town
            .engine
            .release_lease(&town.consumer(), lease.id, lease.fence, LeaseOutcome::Used, None)
            .await;
        released.expect("released");
    };
    let ended = tokio::join!(town.diagnose(&lease), ending).0;
    assert!(matches!(ended, Err(Refusal::LeaseEnded(LeaseStatus::Released))), "{ended:?}");
}
