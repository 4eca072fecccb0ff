//! Who is parked, taken, given and kept for.

use super::*;

pub(super) fn queue(name: &str) -> Queue {
    Queue::new(&Arc::from("default"), name, None)
}

pub(super) fn in_channel(name: &str) -> Queue {
    Queue::new(&Arc::from("default"), name, Some(&Arc::from("ada")))
}

pub(super) fn session(number: u128) -> SessionId {
    SessionId(uuid::Uuid::from_u128(number))
}

#[test]
fn who_has_waited_longest_is_taken_first_and_from_all_its_queues() {
    let parked = Parked::default();
    let both: Arc<[Queue]> = Arc::from([queue("a"), queue("b")]);
    let _first = parked.park(session(1), 1, Arc::clone(&both));
    let _second = parked.park(session(2), 1, both);
    let taken = parked.take(&queue("b"), 1);
    assert_eq!(taken.iter().map(|poller| poller.session).collect::<Vec<_>>(), [session(1)]);
    let rest = parked.take(&queue("a"), 5);
    assert_eq!(rest.iter().map(|poller| poller.session).collect::<Vec<_>>(), [session(2)]);
    assert!(parked.lock().queues.is_empty());
}

#[test]
fn the_deployed_are_taken_for_a_channel_when_nobody_waits_there_and_never_the_other_way_round() {
    let parked = Parked::default();
    let _deployed = parked.park(session(1), 1, Arc::from([queue("a")]));
    let _developed = parked.park(session(2), 1, Arc::from([in_channel("a")]));
    let take = |queue: &Queue| {
        assert_eq!(parked.waits(queue), !parked.lock().pollers.is_empty());
        parked.take(queue, 1).iter().map(|poller| poller.session).collect::<Vec<_>>()
    };
    assert_eq!(take(&in_channel("a")), [session(2)]);
    assert_eq!(take(&in_channel("a")), [session(1)]);
    assert!(take(&in_channel("a")).is_empty());
    let _developed = parked.park(session(2), 1, Arc::from([in_channel("a")]));
    assert!(!parked.waits(&queue("a")) && parked.take(&queue("a"), 1).is_empty());
}

#[test]
fn a_dropped_place_is_never_taken() {
    let parked = Parked::default();
    drop(parked.park(session(1), 4, Arc::from([queue("a")])));
    assert!(parked.take(&queue("a"), 1).is_empty());
    assert!(parked.lock().queues.is_empty());
}

#[test]
fn a_look_is_spared_only_while_nothing_was_left_in_a_queue_of_the_session() {
    let parked = Parked::default();
    let worth_a_look = |name: &str| parked.park(session(1), 1, Arc::from([queue(name)])).worth_a_look;
    assert!(worth_a_look("a"), "a session that never looked");
    parked.looked(session(1), parked.writes());
    assert!(!worth_a_look("a"), "nothing was written since");
    parked.leave([&queue("b")]);
    assert!(!worth_a_look("a"), "the task is in another queue");
    assert!(worth_a_look("b"));
    let before = parked.writes();
    parked.leave([&queue("a")]);
    parked.looked(session(1), before);
    assert!(worth_a_look("a"), "what was written during a look may have been missed");
    parked.looked(session(1), parked.writes());
    assert!(!worth_a_look("a"));
    parked.leave_everywhere();
    assert!(worth_a_look("a"));
}

pub(super) fn task(serial: u32) -> Assignment {
    let tree = sixpack_model::ids::TreeId(uuid::Uuid::nil());
    Assignment {
        task: sixpack_model::ids::TaskId { tree, part: 0, serial },
        dataset: sixpack_model::ids::DatasetId { tree, part: 0 },
        attempt: 1,
        operation: sixpack_model::tree::Operation::Produce,
        contract: "a/step".parse().unwrap(),
        version: 1,
        input: Arc::default(),
        output: None,
        facts: None,
        state: None,
        exclude: Vec::new(),
        children: None,
        seed: 0,
        unique: String::new(),
        idempotency_key: String::new(),
        timeout_ms: 1,
    }
}

fn kept(parked: &Parked, number: u128, serial: u32) -> Delivery {
    parked.keep(session(number), vec![task(serial)]).ok().expect("it is open")
}

async fn serials(place: &mut Place<'_>) -> Vec<u32> {
    match place.given().await {
        Given::Tasks(tasks) => tasks.iter().map(|task| task.task.serial).collect(),
        Given::Nothing | Given::GoAway => panic!("it was given no tasks"),
    }
}

#[tokio::test]
async fn what_is_kept_for_a_supplier_is_there_when_it_parks_or_handed_to_the_call_that_is_parked_by_now() {
    let parked = Parked::default();
    assert_eq!(kept(&parked, 1, 1), Delivery::Kept);
    let mut back = parked.park(session(1), 2, Arc::from([queue("a")]));
    assert!(back.is_taken && !parked.waits(&queue("a")), "it has what it came for");
    assert_eq!(serials(&mut back).await, [1]);
    let mut again = parked.park(session(1), 1, Arc::from([queue("a")]));
    assert_eq!(kept(&parked, 1, 2), Delivery::Arrived);
    assert!(!parked.waits(&queue("a")));
    assert_eq!(serials(&mut again).await, [2]);
    assert_eq!(kept(&parked, 1, 3), Delivery::Kept);
    assert_eq!(parked.collect(session(1), 1).len(), 1, "or it comes with the receipts of results");
}

#[tokio::test]
async fn what_is_kept_goes_back_when_its_call_is_given_up_and_with_its_session() {
    let parked = Parked::default();
    kept(&parked, 1, 1);
    drop(parked.park(session(1), 2, Arc::from([queue("a")])));
    assert_eq!(parked.take_strays().len(), 1);
    kept(&parked, 1, 2);
    parked.release(session(1));
    assert_eq!(parked.take_strays().len(), 1);
    kept(&parked, 1, 3);
    parked.release_all();
    assert_eq!(parked.take_strays().len(), 1);
    assert!(parked.collect(session(1), 10).is_empty());
    assert!(parked.keep(session(1), vec![task(4)]).is_err(), "nobody comes any more");
}

#[tokio::test]
async fn a_released_session_is_told_to_go_away() {
    let parked = Parked::default();
    let mut place = parked.park(session(1), 4, Arc::from([queue("a")]));
    parked.release(session(1));
    assert!(matches!(place.given().await, Given::GoAway));
}
