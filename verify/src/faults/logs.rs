//! Logs: what no program may ever say, and what no server may ever answer (I17).

use super::journal::Operation;

/// What a program logs only when it, or whoever wrote it, has made a mistake.
const ALARMS: [&str; 4] = ["panicked", "deadlock detected", "assertion", "PANIC:"];

/// How PostgreSQL ends when there is no room for its log, which is done to it.
const NO_ROOM: &str = "No space left on device";

/// What a server may answer with a status of 5xx, as the documentation has it.
const REFUSALS: [(u16, &str); 4] =
    [(503, "unavailable"), (503, "storage_full"), (503, "overloaded"), (503, "too_many_connections")];

/// What is wrong in the log of one program; `ran_out_of_room` when its disk was full at some time.
pub(crate) fn alarming(of: &str, log: &str, ran_out_of_room: bool) -> Vec<String> {
    let explained = |line: &str| ran_out_of_room && line.contains("PANIC:") && line.contains(NO_ROOM);
    let alarming = log.lines().filter(|line| {
        let small = line.to_lowercase();
        ALARMS.iter().any(|alarm| small.contains(&alarm.to_lowercase())) && !explained(line)
    });
    alarming.map(|line| format!("the log of {of}: {line}")).collect()
}

/// Answers of 5xx that are no refusal which the documentation names.
pub(crate) fn undocumented(history: &[Operation]) -> Vec<String> {
    let undocumented = history.iter().filter(|call| {
        call.http_status >= 500 && !REFUSALS.contains(&(call.http_status, call.answer.code.as_str()))
    });
    undocumented.map(|call| format!("a server answered what it never may: {call:?}")).collect()
}

#[cfg(test)]
mod tests {
    use super::super::journal::{Act, Answer, End};
    use super::*;

    #[test]
    fn what_no_program_may_say_is_found() {
        let wrong = |line: &str, full| alarming("somebody", &format!("fine\n{line}\nfine"), full).len();
        assert_eq!(wrong("INFO it goes on", false), 0);
        assert_eq!(wrong("thread 'main' panicked at src/main.rs:1", false), 1);
        assert_eq!(wrong("ERROR:  deadlock detected", false), 1);
        assert_eq!(wrong("TRAP: failed Assert: Assertion `x' failed", false), 1);
        let no_room = "PANIC:  could not write to file \"pg_wal/xlogtemp.1\": No space left on device";
        assert_eq!((wrong(no_room, true), wrong(no_room, false)), (0, 1));
        assert_eq!(wrong("PANIC:  could not locate a valid checkpoint record", true), 1);
    }

    #[test]
    fn an_answer_that_no_documentation_names_is_found() {
        let wrong = |http_status, code: &str| {
            let answer = Answer { code: code.to_owned(), ..Answer::default() };
            let call = Operation::made_up(Act::Look, "", answer);
            let call = Operation { end: End::Maybe, http_status, ..call };
            undocumented(&[call]).len()
        };
        assert_eq!(wrong(0, ""), 0, "nobody answered");
        assert_eq!(wrong(409, "lease_ended"), 0);
        assert_eq!(wrong(503, "storage_full"), 0);
        assert_eq!(wrong(503, ""), 1);
        assert_eq!(wrong(500, "internal"), 1);
        assert_eq!(wrong(504, "unavailable"), 1);
    }
}
