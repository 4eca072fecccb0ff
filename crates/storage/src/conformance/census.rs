//! Census: what there is, counted up to a bound; and what is counted while it happens.

use sixpack_model::tree::PartStatus;

use super::factories::{Order, Supplier, TTL_MS};
use super::fixture::Fixture;
use crate::census::{Counted, SupplierCounted};
use crate::health::ATTEMPT_ENDS;
use crate::measures::Name;
use crate::trees::Guard;

const CUSTOMER: &[&str] = &["shop/customer"];

/// More rows than any case has.
const LIMIT: u32 = 1_000;

async fn counted(f: &Fixture) -> Counted {
    f.store.census(LIMIT, LIMIT).await.unwrap()
}

pub async fn an_empty_store_has_nothing_but_its_size(f: &Fixture) {
    let counted = counted(f).await;
    assert!(counted.size_bytes > 0);
    let nothing =
        Counted { size_bytes: counted.size_bytes, log_bytes: counted.log_bytes, ..Counted::default() };
    assert_eq!(counted, nothing);
}

pub async fn what_there_is_is_counted(f: &Fixture) {
    let session = f.supplier(Supplier::of(CUSTOMER)).await;
    f.accept(Order::of(CUSTOMER).times(3)).await;
    f.claim(session, 1).await;
    let (owing, set_aside) = (f.one("shop/customer").await, f.one("shop/customer").await);
    f.write(Guard::None, f.part_change(&owing, 1, |part| part.status = PartStatus::Debt)).await;
    f.write(Guard::None, f.part_change(&set_aside, 0, |root| root.status = PartStatus::Quarantined)).await;
    f.leased().await;
    f.clock.advance_ms(2_500);
    let counted = counted(f).await;
    assert_eq!((counted.requests_open, counted.request_overdue_ms), (3, 0));
    // The leased one was made by nobody: its task is still there.
    assert_eq!((counted.tasks_waiting, counted.tasks_claimed, counted.task_due_for_ms), (5, 1, 2_500));
    assert_eq!((counted.debts, counted.quarantined), (1, 1));
    assert_eq!(counted.leases_held, [("staging".to_owned(), 1)]);
    let supplier = SupplierCounted {
        environment: "staging".to_owned(),
        domain: "shop".to_owned(),
        sessions: 1,
        seen_ms_ago: 2_500,
    };
    assert_eq!(counted.suppliers, [supplier]);
}

pub async fn what_is_overdue_says_since_when(f: &Fixture) {
    f.leased().await;
    f.accept(Order { timeout_ms: 1_000, ..Order::of(CUSTOMER) }).await;
    f.clock.advance_ms(TTL_MS as i64 + 250);
    let counted = counted(f).await;
    assert_eq!(counted.lease_overdue_ms, 250);
    assert_eq!(counted.request_overdue_ms, TTL_MS - 750);
}

pub async fn no_more_is_counted_than_was_asked_for(f: &Fixture) {
    for _ in 0..3 {
        f.leased().await;
    }
    f.accept(Order::of(CUSTOMER).times(3)).await;
    for domain in ["a", "b", "c"] {
        f.supplier(Supplier { environment: domain.to_owned(), ..Supplier::of(CUSTOMER) }).await;
    }
    let counted = f.store.census(2, 2).await.unwrap();
    assert_eq!((counted.tasks_waiting, &counted.leases_held[..]), (2, &[("staging".to_owned(), 2)][..]));
    let environments: Vec<_> = counted.suppliers.iter().map(|supplier| &supplier.environment[..]).collect();
    assert_eq!(environments, ["a", "b"]);
}

pub async fn an_attempt_that_ends_is_counted_with_how_long_it_took(f: &Fixture) {
    let session = f.supplier(Supplier::of(CUSTOMER)).await;
    let tree = f.one("shop/customer").await;
    f.clock.advance_ms(40);
    let claimed = f.claim(session, 1).await.remove(0);
    assert_eq!(claimed.waited_ms, 40);
    f.clock.advance_ms(1_500);
    let mut change = f.made(&tree, 1);
    let mut told = f.event("task.done");
    told.part = 1;
    change.events.push(told);
    f.write(Guard::Claim(claimed.claim), change.clone()).await;
    // The second time the claim is not there any more.
    f.write(Guard::Claim(claimed.claim), change).await;
    let name = Name { first: "staging", domain: "shop", name: "customer" };
    let attempts = f.store.measures().attempts.of(name);
    let ends: Vec<_> = ATTEMPT_ENDS.iter().zip(&attempts.ends).filter(|(_, ended)| ended.get() > 0).collect();
    assert_eq!(ends.len(), 1);
    assert_eq!((*ends[0].0, ends[0].1.get()), ("done", 1));
    let held = attempts.held.told();
    assert_eq!((held.count, held.sum), (1, 1.5));
    assert!(f.store.measures().commits.told().count > 0);
}
