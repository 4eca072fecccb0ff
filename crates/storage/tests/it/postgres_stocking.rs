//! Datasets that come into stock together, as each of them would by itself.

use std::sync::Arc;

use futures::future::join_all;
use serde_json::{Value, json};
use sixpack_model::event::Event;
use sixpack_model::ids::{LeaseId, LineId, TreeId};
use sixpack_model::plan::{Change, Outcome, Readiness};
use sixpack_model::request::{Priority, RequestStatus};
use sixpack_model::schema::Entity;
use sixpack_model::tree::{Claim, PartStatus, Tree};
use sixpack_storage::conformance::{ENVIRONMENT, Fixture, Order, PostgresServer, Supplier};
use sixpack_storage::events::EventFilter;
use sixpack_storage::postgres::Address;
use sixpack_storage::requests::{Looking, NewRequest};
use sixpack_storage::stock::{FillTo, StockWish, WishedLine};
use sixpack_storage::trees::{Guard, RequestAfter, RequestEnd, TreeWrite, Written};
use tokio_postgres::NoTls;

const CUSTOMER: &[&str] = &["shop/customer"];

/// A dataset on its way, its task in the hands of a supplier.
struct Made {
    tree: Tree,
    claim: Claim,
}

async fn open() -> (Address, Fixture) {
    let (address, _, f) = crate::postgres_writer::open().await;
    (address, f)
}

async fn line(f: &Fixture, input: Value) -> LineId {
    f.store.line(ENVIRONMENT, &"shop/ready-customer".parse().unwrap(), &input).await.unwrap()
}

/// So many datasets that are being made for a line.
async fn coming(f: &Fixture, line: LineId, count: usize) -> Vec<TreeId> {
    let new = || {
        let order = Order { line: Some(line), priority: Priority::Stock, ..Order::of(CUSTOMER) };
        let mut new = f.new_request(order);
        new.request.refills = Some("a-rule".parse().unwrap());
        new
    };
    let requests: Vec<NewRequest> = (0..count).map(|_| new()).collect();
    let trees = requests.iter().map(|new| new.trees[0].tree.id).collect();
    let fill_to = FillTo { target: 1_000, ahead: 1_000 };
    assert_eq!(f.store.refill(line, fill_to, requests).await.unwrap(), count);
    trees
}

/// The same datasets, each claimed.
async fn claimed(f: &Fixture, trees: impl IntoIterator<Item = TreeId>) -> Vec<Made> {
    let session = f.supplier(Supplier::of(CUSTOMER)).await;
    let mut claims = Vec::new();
    loop {
        let more = f.claim(session, 100).await;
        if more.is_empty() {
            break;
        }
        claims.extend(more.into_iter().map(|claimed| claimed.claim));
    }
    let made = trees.into_iter().map(async |id| {
        let claim = claims.iter().find(|claim| claim.task.tree == id).expect("it is claimed");
        Made { tree: f.load(id).await, claim: *claim }
    });
    join_all(made).await
}

/// That the last task of a dataset is done, and the dataset is ready, with something to choose it by and to own.
fn last_result(f: &Fixture, tree: &Tree) -> Change {
    let mut change = f.ready(tree);
    let part = &mut Arc::make_mut(&mut change.tree).parts[1];
    (part.status, part.task) = (PartStatus::Ready, None);
    change.changed.push(1);
    if tree.line.is_some() {
        let selectable = json!({ "plan": "gold" }).as_object().unwrap().clone();
        let Some(Outcome::Ready(readiness)) = change.outcome else { panic!("it is ready") };
        change.outcome = Some(Outcome::Ready(Readiness { selectable, ..readiness }));
        change.owns = vec![(1, Entity { kind: "customer".to_owned(), key: "c-7".to_owned() })];
    }
    let (kind, part) = ("task.succeeded", 1);
    change.events = vec![Event { tree: Some(tree.id), part, data: json!({ "attempt": 1 }), ..f.event(kind) }];
    change
}

fn write(f: &Fixture, claim: Claim, change: Change) -> TreeWrite {
    TreeWrite { guard: Guard::Claim(claim), change, leases: vec![LeaseId(f.id())] }
}

/// Answers all of them at one time.
async fn answer(f: &Fixture, all: impl IntoIterator<Item = TreeWrite>) -> Vec<Written> {
    join_all(all.into_iter().map(async |write| f.store.write_tree(write).await.unwrap())).await
}

async fn all_ready(f: &Fixture, all: &[Made]) -> Vec<Written> {
    answer(f, all.iter().map(|made| write(f, made.claim, last_result(f, &made.tree)))).await
}

/// The one number that a query gives, in the schema of the store.
async fn number(address: &Address, query: &str) -> i64 {
    let (client, connection) = tokio_postgres::connect(&PostgresServer::shared().url(), NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    client.batch_execute(&format!("SET search_path = {}", address.schema())).await.unwrap();
    let number = client.query_one(query, &[]).await.unwrap().get(0);
    drop(client);
    connection.await.unwrap().unwrap();
    number
}

/// How many transactions have brought into stock what is there.
async fn transactions(address: &Address) -> i64 {
    number(address, "SELECT count(DISTINCT xmin::text) FROM stock").await
}

async fn level(f: &Fixture, line: LineId) -> (u64, u64) {
    let level = f.store.level(line, 1_000).await.unwrap();
    (level.ready, level.coming)
}

/// What was told of a dataset and of its request, but for when and under which ids.
async fn told(f: &Fixture, tree: &Tree) -> Vec<(String, bool, bool, u32, Value, bool)> {
    let of_tree = EventFilter { tree: Some(tree.id), ..EventFilter::default() };
    let of_request = EventFilter { request: Some(tree.request), ..EventFilter::default() };
    let mut events = f.store.events(&of_tree, 0, 100).await.unwrap();
    events.extend(f.store.events(&of_request, 0, 100).await.unwrap());
    events.sort_by_key(|event| event.sequence);
    let shape = |event: Event| {
        let (request, timed) = (event.request == Some(tree.request), event.duration_ms.is_some());
        (event.kind.into_owned(), event.tree.is_some(), request, event.part, event.data, timed)
    };
    events.into_iter().map(shape).collect()
}

const STOCKED: Written = Written::Done(RequestAfter::Stocked);

#[tokio::test]
async fn what_many_write_by_one_transaction_is_what_one_writes_by_itself() {
    let (address, f) = open().await;
    let line = line(&f, json!({})).await;
    let trees = coming(&f, line, 41).await;
    let made = claimed(&f, trees).await;
    f.clock.advance_ms(5);
    let (first, others) = made.split_first().unwrap();
    assert_eq!(all_ready(&f, std::slice::from_ref(first)).await, [STOCKED]);
    assert_eq!(all_ready(&f, others).await, vec![STOCKED; 40]);
    assert_eq!(transactions(&address).await, 2, "all others by one");
    assert_eq!(level(&f, line).await, (41, 0));
    assert_eq!(f.store.unwanted_trees(None, 100).await.unwrap(), []);
    let alike = [
        "SELECT line, ready_at, version, pins, checked_at, fresh_until, selectable, imported, came_back FROM stock",
        "SELECT version, status, place, line, owns, lease, fence, made, due_at, priority, ended_at FROM tree",
        "SELECT status, revision, ready, ended_at, failure FROM request",
        "SELECT status, output, detail::jsonb - 'task' FROM dataset WHERE part = 1",
    ];
    for rows in alike {
        let count = format!("SELECT count(*) FROM (SELECT DISTINCT * FROM ({rows}) AS every) AS one");
        assert_eq!(number(&address, &count).await, 1, "{rows}");
    }
    let by_itself = told(&f, &first.tree).await;
    let kinds: Vec<&str> = by_itself.iter().map(|(kind, ..)| kind.as_str()).collect();
    assert_eq!(kinds, ["request.accepted", "task.succeeded", "request.fulfilled"]);
    for made in others {
        assert_eq!(told(&f, &made.tree).await, by_itself);
        let request = f.store.request(made.tree.request).await.unwrap().unwrap();
        assert_eq!((request.status, request.ended_at), (RequestStatus::Fulfilled, Some(f.now())));
        assert_eq!(f.store.leases_of(request.id).await.unwrap(), []);
    }
}

#[tokio::test]
async fn datasets_of_several_lines_come_into_stock_together_and_end_their_troubles() {
    let (address, f) = open().await;
    let lines = [line(&f, json!({ "country": "FR" })).await, line(&f, json!({ "country": "DE" })).await];
    let (mut trees, mut failing) = (Vec::new(), Vec::new());
    for line in lines {
        trees.extend(coming(&f, line, 80).await);
        failing.extend(coming(&f, line, 1).await);
    }
    // What needs the same fails in both.
    for tree in failing {
        let tree = f.load(tree).await;
        let mut change = f.part_change(&tree, 0, |root| root.status = PartStatus::Failed);
        change.outcome = Some(Outcome::Failed(Box::new(f.failure())));
        assert_eq!(f.write(Guard::None, change).await, Written::Done(RequestAfter::Failed));
    }
    let in_trouble = async || {
        let stored = f.store.lines(None, 10).await.unwrap();
        let own = stored.iter().filter(|stored| stored.trouble.is_some()).count();
        (own, f.store.shared_troubles().await.unwrap().len())
    };
    assert_eq!(in_trouble().await, (2, 1));
    let mut made = claimed(&f, trees).await;
    made.sort_by_key(|made| made.tree.id.0.as_u128().reverse_bits());
    // More than are served at once: several transactions want both lines.
    assert_eq!(all_ready(&f, &made).await, vec![STOCKED; 160]);
    for line in lines {
        assert_eq!(level(&f, line).await, (80, 0));
    }
    assert!(transactions(&address).await <= 4);
    assert_eq!(in_trouble().await, (0, 0));
    assert_eq!(number(&address, "SELECT count(*) FROM stock_coming").await, 0);
    assert_eq!(number(&address, "SELECT count(*) FROM request WHERE status = 2").await, 160);
}

#[tokio::test]
async fn whoever_waits_gets_one_and_nobody_else_waits_for_that() {
    let (address, f) = open().await;
    let lines = [line(&f, json!({ "country": "FR" })).await, line(&f, json!({ "country": "DE" })).await];
    let new = f.new_request(Order::of(CUSTOMER));
    let (waiting, own) = (new.request.id, new.trees[0].tree.id);
    let wish = StockWish {
        environment: ENVIRONMENT.into(),
        contract: "shop/ready-customer".parse().unwrap(),
        lines: vec![WishedLine { id: lines[0], same_input: true, not_before: None }],
        select: None,
        version: 1,
        pins: Arc::clone(&new.trees[0].tree.pins),
    };
    let new = NewRequest { wishes: vec![Some(Arc::new(wish))], looking: Looking::Anywhere, ..new };
    f.store.create_request(new).await.unwrap();
    let mut trees = Vec::new();
    for line in lines {
        trees.extend(coming(&f, line, 10).await);
    }
    let made = claimed(&f, trees).await;
    let (mut exchanged, mut stocked) = (Vec::new(), 0);
    for (written, made) in all_ready(&f, &made).await.into_iter().zip(&made) {
        match written {
            Written::Done(RequestAfter::Exchanged { with, tree, fulfilled: Some((_, leases)) }) => {
                assert_eq!((with, tree, leases[0].tree), (waiting, own, made.tree.id));
                exchanged.push(made);
            }
            written => {
                assert_eq!(written, STOCKED);
                stocked += 1;
            }
        }
    }
    assert_eq!((exchanged.len(), stocked), (1, 19));
    assert_eq!(exchanged[0].tree.line, Some(lines[0]));
    assert_eq!(level(&f, lines[0]).await, (9, 1), "what was made for whoever waited comes into stock");
    assert_eq!(level(&f, lines[1]).await, (10, 0));
    let of_other = format!("SELECT count(DISTINCT xmin::text) FROM stock WHERE line = {}", lines[1].0);
    assert_eq!(number(&address, &of_other).await, 1);
    assert_eq!(f.store.request(waiting).await.unwrap().unwrap().status, RequestStatus::Fulfilled);
    let goes_on = f.store.request(exchanged[0].tree.request).await.unwrap().unwrap();
    assert_eq!(goes_on.status, RequestStatus::Building);
}

#[tokio::test]
async fn one_that_is_cancelled_or_lost_its_claim_or_moved_on_keeps_no_other_back() {
    let (_, f) = open().await;
    let line = line(&f, json!({})).await;
    let trees = coming(&f, line, 20).await;
    let made = claimed(&f, trees).await;
    let cancelled = &made[3];
    let end = RequestEnd { failure: None, event: f.event("request.cancelled") };
    f.store.end_request(cancelled.tree.request, RequestStatus::Cancelled, end).await.unwrap();
    assert_eq!(f.store.unwanted_trees(None, 10).await.unwrap(), [cancelled.tree.id]);
    f.write(Guard::None, f.change(&made[5].tree)).await;
    let answers = made.iter().enumerate().map(|(number, Made { tree, claim })| {
        let attempt = if number == 4 { claim.attempt + 1 } else { claim.attempt };
        write(&f, Claim { attempt, ..*claim }, last_result(&f, tree))
    });
    for (number, written) in answer(&f, answers).await.into_iter().enumerate() {
        let due = match number {
            4 => Written::Refused,
            5 => Written::Stale,
            _ => STOCKED,
        };
        assert_eq!(written, due, "{number}");
    }
    // What was made for a request that has ended comes into stock all the same; the other two still come.
    assert_eq!(level(&f, line).await, (18, 2));
    assert_eq!(f.store.unwanted_trees(None, 10).await.unwrap(), []);
    for (number, made) in made.iter().enumerate() {
        let status = f.store.request(made.tree.request).await.unwrap().unwrap().status;
        let due = match number {
            3 => RequestStatus::Cancelled,
            4 | 5 => RequestStatus::Building,
            _ => RequestStatus::Fulfilled,
        };
        assert_eq!(status, due, "{number}");
    }
    let late: Vec<_> = [4, 5].map(|number| made[number].tree.id).into();
    for (tree, made) in late.into_iter().zip(&made[4..]) {
        let tree = f.load(tree).await;
        assert_eq!(answer(&f, [write(&f, made.claim, last_result(&f, &tree))]).await, [STOCKED]);
    }
    assert_eq!(level(&f, line).await, (20, 0));
}

#[tokio::test]
async fn results_of_requests_go_together_beside_those_of_refills() {
    let (address, f) = open().await;
    let line = line(&f, json!({})).await;
    let mut trees = coming(&f, line, 20).await;
    for _ in 0..20 {
        trees.push(f.one("shop/customer").await.id);
    }
    let made = claimed(&f, trees).await;
    let goes_on = |number: usize| number % 4 == 3;
    let answers = made.iter().enumerate().map(|(number, Made { tree, claim })| {
        let change = if goes_on(number) { f.next_of_part(tree, 1) } else { last_result(&f, tree) };
        write(&f, *claim, change)
    });
    for (number, written) in answer(&f, answers).await.into_iter().enumerate() {
        let Made { tree, .. } = &made[number];
        match written {
            Written::Done(RequestAfter::GoesOn) => assert!(goes_on(number)),
            STOCKED => assert!(number < 20 && !goes_on(number)),
            Written::Done(RequestAfter::Fulfilled { revision, leases }) => {
                assert!(number >= 20 && !goes_on(number));
                let request = f.store.request(tree.request).await.unwrap().unwrap();
                assert_eq!((request.ready, request.revision), (1, revision));
                assert_eq!(f.store.leases_of(tree.request).await.unwrap(), leases);
            }
            other => panic!("{number}: {other:?}"),
        }
    }
    assert_eq!(level(&f, line).await, (15, 5));
    assert_eq!(number(&address, "SELECT count(*) FROM lease").await, 15);
    let by = "SELECT count(DISTINCT xmin::text) FROM ";
    assert_eq!(number(&address, &format!("{by} stock")).await, 1);
    assert_eq!(number(&address, &format!("{by} lease")).await, 1);
    // Nobody whose request waits is kept by whoever holds a line.
    assert_eq!(number(&address, "SELECT count(*) FROM stock s JOIN lease l ON l.xmin = s.xmin").await, 0);
}
