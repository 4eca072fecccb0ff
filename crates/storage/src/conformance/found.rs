//! Found data: what was there before has one owner, from the moment it is taken until its tree is over.

use std::sync::Arc;

use sixpack_model::ids::TreeId;
use sixpack_model::lease::{Lease, LeaseStatus};
use sixpack_model::plan::{Change, EntityOwner, HeldEntity};
use sixpack_model::schema::Entity;
use sixpack_model::tree::{PartStatus, Tree};

use super::factories::{ENVIRONMENT, Order};
use super::fixture::Fixture;
use crate::trees::{Clash, Guard, LeaseEnd, RequestAfter, Written};

const CUSTOMER: &[&str] = &["shop/customer"];
const GOES_ON: Written = Written::Done(RequestAfter::GoesOn);

fn entity(kind: &str, key: &str) -> Entity {
    Entity { kind: kind.to_owned(), key: key.to_owned() }
}

/// A decision that a tree has found these customers.
fn finding(f: &Fixture, tree: &Tree, keys: &[&str]) -> Change {
    let mut change = f.change(tree);
    change.found = Some(keys.iter().map(|key| (1, entity("customer", key))).collect());
    change
}

/// A decision that part 1 names these customers.
fn naming(f: &Fixture, tree: &Tree, keys: &[&str]) -> Change {
    let mut change = f.change(tree);
    change.entities = keys.iter().map(|key| (1, entity("customer", key))).collect();
    change
}

fn standing(f: &Fixture, tree: &Tree, status: PartStatus) -> Change {
    f.part_change(tree, 0, |root| root.status = status)
}

fn clash(tree: &Tree, key: &str, by: EntityOwner) -> Written {
    let held = HeldEntity { part: 1, entity: entity("customer", key), by };
    Written::EntityHeld(Clash { tree: tree.id, held })
}

fn release(lease: &Lease) -> Guard {
    Guard::Lease(LeaseEnd {
        lease: lease.id,
        fence: None,
        status: LeaseStatus::Released,
        outcome: None,
        note: None,
        revoked_by: None,
    })
}

pub async fn of_many_finds_at_once_one_takes_an_entity(f: &Fixture) {
    let mut trees = Vec::new();
    for _ in 0..20 {
        trees.push(f.one("shop/customer").await);
    }
    let writes = trees.iter().map(|tree| f.write(Guard::None, finding(f, tree, &["41", "42"])));
    let written = futures::future::join_all(writes).await;
    assert_eq!(written.iter().filter(|written| **written == GOES_ON).count(), 1);
    let clashes = |written: &&Written| matches!(written, Written::EntityHeld(_));
    assert_eq!(written.iter().filter(clashes).count(), 19);
}

pub async fn what_was_found_is_owned_until_its_tree_is_over(f: &Fixture) {
    let finder = f.one("shop/customer").await;
    assert_eq!(f.write(Guard::None, finding(f, &finder, &["42"])).await, GOES_ON);
    let other = f.one("shop/customer").await;
    let again = || async { f.write(Guard::None, finding(f, &other, &["40", "42"])).await };
    assert_eq!(again().await, clash(&other, "42", EntityOwner::Dataset(finder.id)));
    let mut ready = f.ready(&f.load(finder.id).await);
    ready.owns = vec![(1, entity("customer", "42"))];
    let written = f.write(Guard::None, ready).await;
    assert!(matches!(written, Written::Done(RequestAfter::Fulfilled { .. })), "{written:?}");
    let lease = f.store.leases_of(finder.request).await.unwrap().remove(0);
    let by_lease = || EntityOwner::Lease { id: lease.id, holder: lease.holder.clone() };
    assert_eq!(again().await, clash(&other, "42", by_lease()));
    let maker = f.one("shop/customer").await;
    let mut made = f.ready(&maker);
    made.owns = vec![(1, entity("customer", "42"))];
    assert_eq!(f.write(Guard::None, made).await, clash(&maker, "42", by_lease()));
    let mut undoing = standing(f, &f.load(finder.id).await, PartStatus::Undoing);
    Arc::make_mut(&mut undoing.tree).lease = None;
    assert_eq!(f.write(release(&lease), undoing).await, GOES_ON);
    assert_eq!(again().await, clash(&other, "42", EntityOwner::Dataset(finder.id)), "it is not over");
    let mut over = standing(f, &f.load(finder.id).await, PartStatus::Gone);
    over.found = Some(Vec::new());
    assert_eq!(f.write(Guard::None, over).await, GOES_ON);
    assert_eq!(again().await, GOES_ON);
}

pub async fn what_was_found_and_left_is_free(f: &Fixture) {
    let finder = f.one("shop/customer").await;
    f.write(Guard::None, finding(f, &finder, &["42", "43"])).await;
    let finder = f.load(finder.id).await;
    assert_eq!(f.write(Guard::None, finding(f, &finder, &["43", "44"])).await, GOES_ON);
    let other = f.one("shop/customer").await;
    assert_eq!(f.write(Guard::None, finding(f, &other, &["42"])).await, GOES_ON);
    let finder = f.load(finder.id).await;
    assert_eq!(f.write(Guard::None, finding(f, &finder, &[])).await, GOES_ON);
    let other = f.load(other.id).await;
    assert_eq!(f.write(Guard::None, finding(f, &other, &["43", "44"])).await, GOES_ON);
}

pub async fn what_a_tree_names_is_not_found_before_the_tree_is_over(f: &Fixture) {
    let maker = f.one("shop/customer").await;
    assert_eq!(f.write(Guard::None, naming(f, &maker, &["42"])).await, GOES_ON);
    let finder = f.one("shop/customer").await;
    for status in [
        PartStatus::Building,
        PartStatus::Checking,
        PartStatus::Ready,
        PartStatus::Suspect,
        PartStatus::Quarantined,
        PartStatus::Undoing,
        PartStatus::Debt,
    ] {
        f.write(Guard::None, standing(f, &f.load(maker.id).await, status)).await;
        let written = f.write(Guard::None, finding(f, &finder, &["42"])).await;
        assert_eq!(written, clash(&finder, "42", EntityOwner::Dataset(maker.id)), "{status:?}");
    }
    f.write(Guard::None, standing(f, &f.load(maker.id).await, PartStatus::Gone)).await;
    let elsewhere = Order { environment: "qa2".to_owned(), ..Order::of(CUSTOMER) };
    let (_, trees) = f.accept(elsewhere).await;
    f.write(Guard::None, naming(f, &trees[0], &["42"])).await;
    let mut using = f.change(&f.one("shop/account").await);
    using.uses = vec![(1, entity("customer", "42"))];
    f.write(Guard::None, using).await;
    let written = f.write(Guard::None, finding(f, &finder, &["42"])).await;
    assert_eq!(written, GOES_ON, "nobody names it here but who was given it");
}

pub async fn what_is_in_use_is_listed_with_the_newest_first(f: &Fixture) {
    let mut trees = Vec::new();
    for key in ["41", "42", "43"] {
        let tree = f.one("shop/customer").await;
        let mut change = f.ready(&tree);
        change.owns = vec![(1, entity("customer", key)), (1, entity("account", key))];
        f.write(Guard::None, change).await;
        trees.push(f.load(tree.id).await);
    }
    let maker = f.one("shop/customer").await;
    f.write(Guard::None, f.made(&maker, 1)).await;
    let owned = |environment: &'static str, but: TreeId| async move {
        let in_use = f.store.in_use(environment, but).await.unwrap();
        let owned = in_use.owned.iter().map(|(_, entity)| format!("{}:{}", entity.kind, entity.key));
        (owned.collect::<Vec<_>>(), in_use.made.len())
    };
    let all = ["customer:43", "account:43", "customer:42", "account:42", "customer:41", "account:41"];
    assert_eq!(owned(ENVIRONMENT, TreeId(f.id())).await, (all.map(str::to_owned).to_vec(), 1));
    let (others, made) = owned(ENVIRONMENT, trees[2].id).await;
    assert_eq!((others.len(), others[0].as_str(), made), (4, "customer:42", 1));
    assert_eq!(owned(ENVIRONMENT, maker.id).await.1, 0);
    assert_eq!(owned("qa2", TreeId(f.id())).await, (Vec::new(), 0));
    let made = f.store.in_use(ENVIRONMENT, TreeId(f.id())).await.unwrap().made.remove(0);
    assert_eq!(
        (made.0, made.1.contract.to_string(), made.1.version),
        (maker.id, "shop/customer".to_owned(), 1)
    );
    let lease = f.store.leases_of(trees[1].request).await.unwrap().remove(0);
    let mut over = standing(f, &trees[1], PartStatus::Gone);
    Arc::make_mut(&mut over.tree).lease = None;
    assert_eq!(f.write(release(&lease), over).await, GOES_ON);
    let (left, _) = owned(ENVIRONMENT, TreeId(f.id())).await;
    assert_eq!(left, ["customer:43", "account:43", "customer:41", "account:41"]);
}
