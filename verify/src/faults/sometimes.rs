//! Sometimes: what must have happened, and how often. A trial in which it did not proves nothing about it.
//!
//! Minima are proportions of the strikes that a trial reaches reliably; the decision 0058 says how they come to what is wanted of a night.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::ensure;

use super::cluster::Cluster;
use super::consumers::Tally;
use super::holding;
use super::journal::{Act, End, Operation};
use super::strikes::{self, Strike};
use super::verdict::Verdict;

/// Something that happened, how often, and how often it must have.
pub(crate) type Happened = (&'static str, u64, u64);

/// A number of strikes.
#[derive(Debug, Clone, Copy)]
struct Strikes(u32);

impl Strikes {
    /// One thing in so many strikes, and one in any case.
    fn one_in(self, strikes: u32) -> u64 {
        u64::from((self.0 / strikes).max(1))
    }

    /// So many things in each strike.
    fn times(self, each: u32) -> u64 {
        u64::from(self.0 * each)
    }
}

/// Everything that must have happened.
pub(crate) fn counted(
    cluster: &Cluster,
    history: &[Operation],
    tally: &Tally,
    verdict: &Verdict,
    retries: u64,
    strikes: u32,
) -> Vec<Happened> {
    let strikes = Strikes(strikes);
    let mut counted = of_history(history, cluster.apis().len() > 1, strikes);
    counted.extend(of_consumers(history, tally, strikes));
    counted.extend(of_verdict(verdict, strikes));
    counted.extend(of_cluster(cluster, retries, strikes));
    counted
}

/// What calls show.
fn of_history(history: &[Operation], several_servers: bool, strikes: Strikes) -> Vec<Happened> {
    let mut keys: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for asked in history.iter().filter(|call| call.act == Act::Ask && call.end == End::Ok) {
        keys.entry(&asked.subject).or_default().push(asked.server);
    }
    let again = keys.values().filter(|servers| servers.len() > 1).count() as u64;
    let elsewhere =
        keys.values().filter(|servers| servers.iter().any(|server| *server != servers[0])).count();
    let count = |holds: &dyn Fn(&Operation) -> bool| history.iter().filter(|call| holds(call)).count() as u64;
    let mut counted = vec![
        ("call_nobody_answered", count(&|call| call.end == End::Maybe), strikes.times(5)),
        ("request_made_again_under_its_key", again, strikes.one_in(10)),
        (
            "key_refused_for_another_request",
            count(&|call| call.answer.code == "idempotency_mismatch"),
            strikes.one_in(30),
        ),
        (
            "stale_or_foreign_fence_refused",
            count(&|call| call.answer.code == "lease_fenced"),
            strikes.one_in(6),
        ),
    ];
    if several_servers {
        counted.push(("key_known_to_another_server", elsewhere as u64, strikes.one_in(15)));
    }
    counted
}

/// What consumers have done with what they got.
fn of_consumers(history: &[Operation], tally: &Tally, strikes: Strikes) -> Vec<Happened> {
    let count = |holds: &dyn Fn(&Operation) -> bool| history.iter().filter(|call| holds(call)).count() as u64;
    let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
    vec![
        ("dataset_used", count(&|call| call.act == Act::Use && call.end == End::Ok), strikes.times(2)),
        (
            "use_refused_by_guard",
            count(&|call| call.act == Act::Use && call.end == End::Fail),
            strikes.one_in(150),
        ),
        (
            "lease_looked_at_while_held",
            count(&|call| call.act == Act::LookAtLease && call.end == End::Ok),
            strikes.one_in(7),
        ),
        (
            "lease_renewed_and_used_beyond_its_first_deadline",
            holding::used_beyond_first_deadline(history) as u64,
            strikes.one_in(25),
        ),
        ("holder_came_too_late", load(&tally.came_too_late), strikes.one_in(50)),
        ("served_from_stock", load(&tally.from_stock), strikes.one_in(150)),
    ]
}

/// What the servers and the world tell at the end.
fn of_verdict(verdict: &Verdict, strikes: Strikes) -> Vec<Happened> {
    vec![
        ("lease_expired", verdict.expired as u64, strikes.one_in(8)),
        ("leased_again_after_it_came_back_unused", verdict.leased_again as u64, strikes.one_in(150)),
        ("effect_made_again_under_its_key", verdict.repeated_effects as u64, strikes.one_in(3)),
        ("task_taken_from_a_lost_supplier", verdict.audit.lost as u64, strikes.times(1)),
        ("late_result", verdict.audit.late as u64, strikes.one_in(150)),
        ("undo_tried_again", verdict.audit.undo_failed as u64, strikes.one_in(5)),
        ("level_of_stock_looked_at", verdict.levels as u64, strikes.times(1)),
        ("dataset_put_in_sequence", verdict.searched.datasets as u64, strikes.one_in(3)),
        ("dataset_leased_again_put_in_sequence", verdict.searched.leased_again as u64, strikes.one_in(150)),
        ("result_compared", verdict.compared.results as u64, strikes.times(2)),
        ("part_held_against_what_it_relies_on", verdict.compared.relying as u64, strikes.times(1)),
    ]
}

/// What was done to the cluster, and what it went through.
fn of_cluster(cluster: &Cluster, retries: u64, strikes: Strikes) -> Vec<Happened> {
    let mut counted = vec![("killed", cluster.kills().into(), strikes.one_in(3))];
    if cluster.apis().len() > 1 {
        counted.push(("write_carried_out_again", retries, strikes.one_in(10)));
    }
    if cluster.has(Strike::DiskFull) {
        counted.extend([
            ("write_refused_for_lack_of_room", cluster.refused_without_room, strikes.one_in(75)),
            ("disk_full_and_recovered", cluster.found_room.into(), strikes.one_in(75)),
        ]);
    }
    if cluster.has(Strike::DatabaseLogFull) {
        counted.push((
            "database_ended_for_lack_of_room",
            cluster.ended_without_room.into(),
            strikes.one_in(75),
        ));
    }
    // Whoever strikes less often than there are cards may leave some of them out.
    let least = u64::from(strikes.0 as usize >= strikes::cards(|strike| cluster.has(strike)));
    for (strike, name) in Strike::all().filter(|(strike, _)| cluster.has(*strike)) {
        counted.push((name, cluster.struck.get(&strike).copied().unwrap_or_default().into(), least));
    }
    counted
}

/// Fails when something has happened less often than it must have.
pub(crate) fn enough(counted: &[Happened], strikes: u32) -> anyhow::Result<()> {
    let lacking = counted.iter().filter(|(_, count, least)| count < least);
    let lacking: Vec<String> =
        lacking.map(|(name, count, least)| format!("{name} {count} times of {least}")).collect();
    ensure!(
        lacking.is_empty(),
        "nothing was lost, but too little happened in {strikes} strikes to prove anything: {}; run it with more",
        lacking.join(", ")
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trial_that_proves_nothing_says_what_did_not_happen() {
        assert!(enough(&[("lease_expired", 3, 3)], 8).is_ok());
        let told = enough(&[("lease_expired", 2, 3), ("server_killed", 1, 1)], 8).unwrap_err().to_string();
        assert!(told.contains("in 8 strikes to prove anything: lease_expired 2 times of 3;"), "{told}");
    }

    #[test]
    fn more_strikes_have_to_bring_more() {
        assert_eq!((Strikes(150).one_in(50), Strikes(10).one_in(50), Strikes(10).times(2)), (3, 1, 20));
    }
}
