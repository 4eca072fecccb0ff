//! Stuck: what still has not ended, or ended too late, once nothing is struck any more (I13).
//!
//! All bounds count from the moment at which the last strike was over, by the times that the store itself tells: it shares the clock
//! of the machine with the trial.

use serde_json::Value;

use super::moments::micros;

/// A request that is open by then has ended within this time.
const REQUEST_LIMIT_US: u64 = 10_000_000;

/// A lease whose time is over has ended within this time.
const LEASE_LIMIT_US: u64 = 5_000_000;

/// Everything is at rest within this time: requests end within ten seconds, somebody holds a lease of three for too long, it expires
/// within five, and what was leased is undone.
pub(crate) const REST_LIMIT_US: u64 = 20_000_000;

/// What a dataset can be in that has come to its end.
const FINAL: [&str; 3] = ["gone", "failed", "debt"];

/// Requests that ended too late, or never, or because their time was over, which is far longer than anything may take.
pub(crate) fn requests(requests: &[Value], healed_us: u64) -> Vec<String> {
    let late = |request: &&Value| {
        let begun_us = time(request, "created_at").unwrap_or(healed_us);
        let limit_us = begun_us.max(healed_us) + REQUEST_LIMIT_US;
        request["status"] == "expired" || time(request, "ended_at").is_none_or(|ended_us| ended_us > limit_us)
    };
    let late = requests.iter().filter(late);
    late.map(|request| {
        format!(
            "request {} was made at {}, is {}, and ended at {}; the last strike was over at {healed_us}",
            request["id"], request["created_at"], request["status"], request["ended_at"]
        )
    })
    .collect()
}

/// Leases that ended too long after their time was over.
pub(crate) fn leases<'a>(leases: impl IntoIterator<Item = &'a Value>, healed_us: u64) -> Vec<String> {
    let late = |lease: &&Value| {
        let Some(expires_us) = time(lease, "expires_at") else { return true };
        let limit_us = expires_us.max(healed_us) + LEASE_LIMIT_US;
        lease["status"] == "held" || time(lease, "ended_at").is_none_or(|ended_us| ended_us > limit_us)
    };
    let late = leases.into_iter().filter(late);
    late.map(|lease| {
        format!(
            "lease {} was to end at {}, is {}, and ended at {}; the last strike was over at {healed_us}",
            lease["id"], lease["expires_at"], lease["status"], lease["ended_at"]
        )
    })
    .collect()
}

/// Datasets that are still on their way, or came to their end too late.
pub(crate) fn datasets(datasets: &[Value], healed_us: u64) -> Vec<String> {
    let late = |dataset: &&Value| {
        let is_final = dataset["status"].as_str().is_some_and(|status| FINAL.contains(&status));
        let in_time = |ended_us: u64| ended_us <= healed_us + REST_LIMIT_US;
        !is_final || !time(dataset, "ended_at").is_some_and(in_time)
    };
    let late = datasets.iter().filter(late);
    late.map(|dataset| {
        format!(
            "dataset {} is {} and came to its end at {}; the last strike was over at {healed_us}",
            dataset["id"], dataset["status"], dataset["ended_at"]
        )
    })
    .collect()
}

/// Whether a dataset is still on its way.
pub(crate) fn is_under_way(dataset: &Value) -> bool {
    dataset["status"].as_str().is_none_or(|status| !FINAL.contains(&status))
}

/// How long after the last strike the last of these has ended, in milliseconds.
pub(crate) fn last_ended_ms<'a>(all: impl IntoIterator<Item = &'a Value>, healed_us: u64) -> u64 {
    let last = all.into_iter().filter_map(|one| time(one, "ended_at")).max();
    last.unwrap_or_default().saturating_sub(healed_us) / 1_000
}

fn time(one: &Value, field: &str) -> Option<u64> {
    one[field].as_str().and_then(micros)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const HEALED_US: u64 = 100_000_000;

    /// So many seconds after 1970.
    fn at(second: u64) -> String {
        format!("1970-01-01T00:{:02}:{:02}Z", second / 60, second % 60)
    }

    #[test]
    fn a_request_that_ends_late_or_never_or_runs_out_of_its_time_is_found() {
        let wrong = |created, status: &str, ended: Option<u64>| {
            let request =
                json!({ "id": "r", "created_at": at(created), "status": status, "ended_at": ended.map(at) });
            requests(&[request], HEALED_US).len()
        };
        assert_eq!(wrong(50, "fulfilled", Some(110)), 0);
        assert_eq!(wrong(50, "fulfilled", Some(111)), 1);
        assert_eq!(wrong(105, "fulfilled", Some(111)), 0, "it was made later");
        assert_eq!(wrong(50, "building", None), 1);
        assert_eq!(wrong(1, "expired", Some(60)), 1);
    }

    #[test]
    fn a_lease_that_is_ended_late_or_never_is_found() {
        let wrong = |expires, status: &str, ended: Option<u64>| {
            let lease =
                json!({ "id": "l", "expires_at": at(expires), "status": status, "ended_at": ended.map(at) });
            leases(&[lease], HEALED_US).len()
        };
        assert_eq!(wrong(103, "expired", Some(108)), 0);
        assert_eq!(wrong(103, "expired", Some(109)), 1);
        assert_eq!(wrong(90, "expired", Some(105)), 0, "nobody could end it before");
        assert_eq!(wrong(90, "expired", Some(106)), 1);
        assert_eq!(wrong(103, "held", None), 1);
    }

    #[test]
    fn a_dataset_that_is_still_on_its_way_or_was_for_too_long_is_found() {
        let wrong = |status: &str, ended: Option<u64>| {
            let dataset = json!({ "id": "d", "status": status, "ended_at": ended.map(at) });
            datasets(&[dataset], HEALED_US).len()
        };
        assert_eq!(wrong("gone", Some(120)), 0);
        assert_eq!(wrong("gone", Some(121)), 1);
        assert_eq!(wrong("undoing", None), 1);
        assert_eq!(wrong("ready", None), 1);
        assert_eq!(wrong("gone", None), 1, "nobody says when");
    }
}
