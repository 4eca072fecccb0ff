//! Debts: resolved with a reason by whoever has a say, once, and over then.

use serde_json::json;
use sixpack_engine::{Caller, Refusal};
use sixpack_model::ids::{DatasetId, RequestId};
use sixpack_model::token::Role;
use sixpack_model::tree::PartStatus;
use sixpack_storage::page::Page;

use crate::town::{Town, refused, with_pair};

impl Town {
    /// A request that failed, and whose first part could not be undone.
    async fn owing(&self, a: sixpack_model::ids::SessionId, b: sixpack_model::ids::SessionId) -> RequestId {
        let id = self.ask("shop/pair", json!({})).await;
        self.serve(a).await;
        let task = self.claim_one(b).await;
        self.answer(b, &task, refused(false)).await;
        let undo = self.claim_one(a).await;
        self.answer(a, &undo, refused(false)).await;
        id
    }

    async fn owed(&self) -> Vec<DatasetId> {
        let listed = self.engine.debts(&self.consumer(), Some("default"), None, Page::first(10)).await;
        listed.expect("a list").iter().map(|view| view.tree.dataset(view.part)).collect()
    }

    async fn resolve_debt(
        &self,
        caller: &Caller,
        id: DatasetId,
        reason: &str,
    ) -> Result<PartStatus, Refusal> {
        let view = self.engine.resolve_debt(caller, id, reason.to_owned()).await?;
        Ok(view.tree.parts[id.part as usize].status)
    }
}

#[tokio::test]
async fn a_debt_is_resolved_with_a_reason_and_its_request_is_over() {
    let (town, a, b) = with_pair().await;
    let request = town.owing(a, b).await;
    let [id] = town.owed().await[..] else { panic!("one thing is owed") };
    let by = town.supplier();
    assert_eq!(town.resolve_debt(&by, id, "removed in the console").await.unwrap(), PartStatus::Gone);
    assert_eq!(town.owed().await, []);
    let view = town.engine.dataset(&town.consumer(), id).await.unwrap();
    let told = view.timeline.iter().find(|event| event.kind == "dataset.debt_resolved").expect("it is told");
    assert_eq!(
        (&told.data["by"], &told.data["message"]),
        (&json!(by.name), &json!("removed in the console"))
    );
    assert_eq!(view.tree.root().status, PartStatus::Failed, "as it would have been");
    assert_eq!(town.request(request).await.trees[0].root().status, PartStatus::Failed);

    // Said again, by anybody: it stays as it was resolved.
    assert_eq!(town.resolve_debt(&by, id, "me too").await.unwrap(), PartStatus::Gone);
    let again = town.engine.dataset(&town.consumer(), id).await.unwrap();
    let resolved = again.tree.parts[id.part as usize].resolved.clone().expect("it is known");
    assert_eq!((resolved.by, resolved.reason.as_str()), (by.name, "removed in the console"));
    assert_eq!(again.timeline.len(), view.timeline.len());
}

#[tokio::test]
async fn what_owes_nothing_is_told_so_and_what_is_somebody_elses_stays() {
    let (town, a, b) = with_pair().await;
    town.owing(a, b).await;
    let [id] = town.owed().await[..] else { panic!("one thing is owed") };
    for part in [0, id.part + 1] {
        let other = id.tree.part(part);
        let refused = town.resolve_debt(&town.supplier(), other, "x").await;
        assert!(matches!(refused, Err(Refusal::NotOwed { dataset, .. }) if dataset == other), "{refused:?}");
    }
    let nowhere = town.resolve_debt(&town.supplier(), id.tree.part(99), "x").await;
    assert!(matches!(nowhere, Err(Refusal::Unknown { .. })), "{nowhere:?}");
    let foreign = Caller { role: Role::Supplier, domain: Some("c".to_owned()), ..town.supplier() };
    let refused = town.resolve_debt(&foreign, id, "x").await;
    assert!(matches!(refused, Err(Refusal::NotOfDomain { .. })), "{refused:?}");
    let elsewhere = Caller { environment: Some("qa2".to_owned()), ..town.supplier() };
    let refused = town.resolve_debt(&elsewhere, id, "x").await;
    assert!(matches!(refused, Err(Refusal::Unknown { .. })), "{refused:?}");
    assert_eq!(town.owed().await, [id]);
}

#[tokio::test]
async fn of_several_who_resolve_a_debt_at_once_one_is_told_of() {
    let (town, a, b) = with_pair().await;
    town.owing(a, b).await;
    let [id] = town.owed().await[..] else { panic!("one thing is owed") };
    let by = town.supplier();
    let all = ["one", "two", "three"].map(|reason| town.resolve_debt(&by, id, reason));
    for status in futures::future::join_all(all).await {
        assert_eq!(status.unwrap(), PartStatus::Gone);
    }
    let view = town.engine.dataset(&town.consumer(), id).await.unwrap();
    let told = view.timeline.iter().filter(|event| event.kind == "dataset.debt_resolved").count();
    assert_eq!(told, 1);
}
