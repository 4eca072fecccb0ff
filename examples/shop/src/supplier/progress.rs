//! Progress: how the answer of a service becomes an answer to Sixpack.
//!
//! ```text
//! made --------------------------------> done
//! not yet, or the news is on its way --> again, for a while --> failed
//! refused by a rule -------------------> rejected, in the words of the service
//! no answer, or a fault of the service > failed, to be attempted again
//! ```

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sixpack::{Check, Context, Produce, Stop, Verdict};

use crate::client::Refusal;

/// Short against the lag of events, which is some hundred milliseconds.
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(150);
/// Some 15 seconds: news that has not come by then does not come.
const MAX_ROUNDS: u32 = 100;

/// Why a state is not made (yet).
#[derive(Debug)]
pub(super) enum Pause {
    /// The service is at it.
    Unfinished(String),
    /// The service said no.
    Refused(Refusal),
}

impl From<Refusal> for Pause {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// Answers a produce. A refusal with one of the codes `until_news` passes when an event arrives.
pub(super) fn produced<T>(cx: &Context, made: Result<T, Pause>, until_news: &[&str]) -> Produce<T> {
    let Rounds { round } = cx.state()?.unwrap_or_default();
    Err(match decide(made, until_news, round) {
        Decision::Done(output) => return Ok(output),
        Decision::Again(message) => cx.again_after(ASK_AGAIN_AFTER, Rounds { round: round + 1 }, message),
        Decision::Retry { code, message } => Stop::retry(code, message),
        Decision::Reject { code, message } => Stop::reject(code, message),
    })
}

/// Answers a check by what the service shows of the entity.
pub(super) fn checked<E, F>(shown: Result<E, Refusal>, judge: impl FnOnce(E) -> Verdict<F>) -> Check<F> {
    match shown {
        Ok(entity) => Ok(judge(entity)),
        Err(refusal) if refusal.is_not_found() => Ok(Verdict::missing(refusal.message)),
        Err(refusal) => Err(stopped(refusal)),
    }
}

/// What a refusal means where there is no news to wait for.
pub(super) fn stopped(refusal: Refusal) -> Stop {
    if refusal.is_temporary() {
        Stop::retry(refusal.code, refusal.message)
    } else {
        Stop::reject(refusal.code, refusal.message)
    }
}

/// How often it was asked already; travels with the task.
#[derive(Default, Serialize, Deserialize)]
struct Rounds {
    round: u32,
}

#[derive(Debug, PartialEq, Eq)]
enum Decision<T> {
    Done(T),
    Again(String),
    Retry { code: String, message: String },
    Reject { code: String, message: String },
}

fn decide<T>(made: Result<T, Pause>, until_news: &[&str], round: u32) -> Decision<T> {
    let patient = round < MAX_ROUNDS;
    match made {
        Ok(output) => Decision::Done(output),
        Err(Pause::Unfinished(message)) if patient => Decision::Again(message),
        Err(Pause::Unfinished(message)) => Decision::Retry { code: "unfinished".to_owned(), message },
        Err(Pause::Refused(refusal)) if patient && until_news.contains(&refusal.code.as_str()) => {
            Decision::Again(refusal.message)
        }
        Err(Pause::Refused(refusal)) if refusal.is_temporary() => {
            Decision::Retry { code: refusal.code, message: refusal.message }
        }
        Err(Pause::Refused(refusal)) => Decision::Reject { code: refusal.code, message: refusal.message },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::ServiceName;

    const NEWS: &[&str] = &["customer_unknown"];

    fn refused(status: u16, code: &str) -> Result<(), Pause> {
        let (code, message) = (code.to_owned(), "says why".to_owned());
        Err(Refusal { service: ServiceName::Billing, status, code, message }.into())
    }

    fn failed(decision: Decision<()>) -> (&'static str, String) {
        match decision {
            Decision::Retry { code, message } if message == "says why" => ("retry", code),
            Decision::Reject { code, message } if message == "says why" => ("reject", code),
            other => panic!("{other:?} is no failure in the words of the service"),
        }
    }

    #[test]
    fn a_rule_that_news_cannot_change_is_a_rejection_under_the_code_of_the_service() {
        for status in [404, 409, 422] {
            let decision = decide(refused(status, "account_exists"), NEWS, 0);
            assert_eq!(failed(decision), ("reject", "account_exists".to_owned()), "{status}");
        }
    }

    #[test]
    fn a_service_that_does_not_answer_is_asked_by_another_attempt() {
        for (status, code) in [(0, "unreachable"), (503, "down"), (500, "internal")] {
            assert_eq!(failed(decide(refused(status, code), NEWS, 0)), ("retry", code.to_owned()));
        }
    }

    #[test]
    fn news_is_waited_for_until_it_cannot_come_any_more() {
        let refused = || refused(409, "customer_unknown");
        assert_eq!(decide(refused(), NEWS, 0), Decision::Again("says why".to_owned()));
        assert_eq!(decide(refused(), NEWS, MAX_ROUNDS - 1), Decision::Again("says why".to_owned()));
        assert_eq!(failed(decide(refused(), NEWS, MAX_ROUNDS)), ("reject", "customer_unknown".to_owned()));
        assert_eq!(failed(decide(refused(), &[], 0)), ("reject", "customer_unknown".to_owned()));
    }

    #[test]
    fn what_a_service_does_not_finish_is_attempted_again_in_the_end() {
        let unfinished = || Err::<(), _>(Pause::Unfinished("says why".to_owned()));
        assert_eq!(decide(unfinished(), &[], 0), Decision::Again("says why".to_owned()));
        assert_eq!(failed(decide(unfinished(), &[], MAX_ROUNDS)), ("retry", "unfinished".to_owned()));
    }
}
