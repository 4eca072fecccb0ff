//! What is told of a request: its tree of steps, its data, or why there is none.

use std::time::Duration;

use sixpack::wire::{CheckVerdict, DatasetStatus, Failure, Request, Step};

use super::asked;
use crate::contracts::owner;
use crate::fault::Fault;
use crate::leases;
use crate::printing::Output;
use crate::times::{between, moment, span};

/// One line of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Branch {
    /// How far from the root.
    pub(crate) depth: usize,
    /// Its name there.
    pub(crate) name: String,
    /// Contract and version; empty for a node that only holds others.
    pub(crate) contract: String,
    /// Where it stands, in the server's word.
    pub(crate) status: String,
    /// How long it took, or takes.
    pub(crate) took: Option<Duration>,
    /// What there is to say about it.
    pub(crate) says: String,
}

/// Prints a request: its steps, and its data or why there is none.
pub(crate) fn told(request: &Request, output: &mut Output) -> Result<(), Fault> {
    output.line(headline(request))?;
    if let Some(channel) = &request.channel {
        output.line(format!("in the channel {channel}"))?;
    }
    if let Some(rule) = &request.refills {
        output.line(format!("refills the stock rule {rule}"))?;
    }
    if let Some(place) = in_line(request) {
        output.line(place)?;
    }
    for line in branches(&steps(request, |_| None)) {
        output.line(line)?;
    }
    if let Some(rerun) = &request.rerun {
        output.line("")?;
        super::rerun::told(rerun, output)?;
    }
    for lease in &request.leases {
        output.line("")?;
        leases::told(lease, output)?;
    }
    if request.failure.is_some() {
        output.line("")?;
        reasons(request).into_iter().try_for_each(|line| output.line(line))?;
    }
    Ok(())
}

/// Its place in line, if it waits for what comes into stock next.
pub(super) fn in_line(request: &Request) -> Option<String> {
    match request.ahead? {
        0 => Some("next in line for stock".to_owned()),
        ahead => Some(format!("in line for stock, {ahead} ahead")),
    }
}

/// Why a request ended without data, for people.
pub(super) fn not_made(request: &Request) -> Vec<String> {
    let mut lines = vec![match &request.failure {
        // Nothing was made for it that could be undone.
        Some(failure) if had_from_stock(request) => {
            let (path, class) = (&failure.path, failure.class);
            format!("sixpack: {} was not handed over: {path} {class}", asked(request))
        }
        Some(failure) => {
            format!("sixpack: {} was not made: {} {}", asked(request), failure.path, failure.class)
        }
        None => format!("sixpack: {} was not made: the request was {}", asked(request), request.status),
    }];
    lines.extend(reasons(request));
    lines.push(format!("           sixpack requests show {}", request.id));
    lines
}

/// Whether all that it had, or has had, was made before anybody asked for it.
fn had_from_stock(request: &Request) -> bool {
    let progress = &request.progress;
    let was_there = |step: &Step| step.ended_at.as_ref().is_some_and(|made| *made <= request.created_at);
    progress.total == 0 || (!progress.steps.is_empty() && progress.steps.iter().all(was_there))
}

/// A failure in rows: reason, owner, attempts, what it stopped, and what became of that which was made.
pub(crate) fn failure(failure: &Failure) -> Vec<String> {
    let mut rows = Vec::new();
    let mut row = |name: &str, text: String| {
        if !text.is_empty() {
            rows.push(format!("  {name:<9}{text}"));
        }
    };
    let code = failure.code.as_ref().map_or(String::new(), |code| format!(" (code {code})"));
    row("reason", format!("{}{code}", failure.message));
    row("details", failure.details.as_ref().map_or(String::new(), ToString::to_string));
    row("part", failure.path.clone());
    row("owner", owner(&failure.owner));
    row("attempts", failure.attempts.to_string());
    let retried = |step: &sixpack::wire::Retried| format!("{} ({} attempts)", step.path, step.attempts);
    row("retried", failure.retried.iter().map(retried).collect::<Vec<_>>().join(", "));
    row("blocked", failure.blocked.join(", "));
    let lately = |lately: &sixpack::wire::Lately| {
        let first = lately.first_failed_at.as_ref();
        let first = first.map_or(String::new(), |at| format!(", the first at {} UTC", moment(at)));
        format!("{} of {} failed since {} UTC{first}", lately.failures, lately.of, moment(&lately.since))
    };
    row("lately", failure.lately.as_ref().map_or(String::new(), lately));
    row("undone", counted(&failure.undo.done));
    row("undoing", counted(&failure.undo.pending));
    row("debts", counted(&failure.undo.debts));
    rows
}

/// Paths with commas between; one that several datasets have says how many.
fn counted(paths: &[String]) -> String {
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for path in paths {
        match counts.iter_mut().find(|(known, _)| known == path) {
            Some((_, count)) => *count += 1,
            None => counts.push((path, 1)),
        }
    }
    let each = counts.into_iter().map(|(path, count)| match count {
        1 => path.to_owned(),
        count => format!("{count} × {path}"),
    });
    each.collect::<Vec<_>>().join(", ")
}

/// The tree of a request from top to bottom; `running` says how long a step that has not ended takes already.
pub(super) fn steps(request: &Request, running: impl Fn(&Step) -> Option<Duration>) -> Vec<Branch> {
    let mut lines = Vec::new();
    let trees = trees(&request.progress.steps);
    // The request itself is the root.
    let base = 1 + usize::from(trees.len() > 1);
    for (number, tree) in trees.iter().enumerate() {
        if trees.len() > 1 {
            lines.push(inner(1, format!("#{}", number + 1)));
        }
        let mut above = Vec::<String>::new();
        for step in *tree {
            let mut names: Vec<String> = step.path.split(" › ").map(str::to_owned).collect();
            let name = names.pop().filter(|name| !name.is_empty()).unwrap_or_else(|| step.contract.clone());
            let same = names.iter().zip(&above).take_while(|(one, other)| one == other).count();
            for (depth, name) in names.iter().enumerate().skip(same) {
                lines.push(inner(base + depth, name.clone()));
            }
            lines.push(leaf(step, base + names.len(), name, running(step)));
            above = names;
        }
    }
    lines
}

/// The steps of each dataset of a request: they come one dataset after another. A step that has not begun has no id, but
/// no path comes twice in one dataset.
pub(super) fn trees(steps: &[Step]) -> Vec<&[Step]> {
    let (mut trees, mut start, mut root) = (Vec::new(), 0, None);
    for (index, step) in steps.iter().enumerate() {
        let here = step.dataset_id.as_deref().map(root_of);
        let another = root.is_some() && here.is_some() && here != root;
        if another || steps[start..index].iter().any(|before| before.path == step.path) {
            trees.push(&steps[start..index]);
            (start, root) = (index, None);
        }
        root = here.or(root);
    }
    if start < steps.len() {
        trees.push(&steps[start..]);
    }
    trees
}

/// The lines of a tree with its branches drawn, in columns.
pub(crate) fn branches(lines: &[Branch]) -> Vec<String> {
    let trunks: Vec<String> = (0..lines.len()).map(|index| trunk(lines, index)).collect();
    let wide = |text: &dyn Fn(usize) -> usize| (0..lines.len()).map(text).max().unwrap_or(0);
    let names = wide(&|index| trunks[index].chars().count() + lines[index].name.chars().count());
    let contracts = wide(&|index| lines[index].contract.chars().count());
    let drawn = |(line, trunk): (&Branch, &String)| {
        let name = format!("{trunk}{}", line.name);
        if line.contract.is_empty() {
            return name;
        }
        let took = line.took.map_or(String::new(), span);
        let text = format!(
            "{name:<names$}  {:<contracts$}  {} {:<11} {took:>11}  {}",
            line.contract,
            symbol(&line.status),
            line.status,
            line.says
        );
        text.trim_end().to_owned()
    };
    lines.iter().zip(&trunks).map(drawn).collect()
}

/// What is drawn before a name: whether others of the same node follow, on every level above it.
fn trunk(lines: &[Branch], index: usize) -> String {
    let depth = lines[index].depth;
    let follows = |level: usize| {
        let after = lines[index + 1..].iter().take_while(|line| line.depth >= level);
        after.into_iter().any(|line| line.depth == level)
    };
    let mut drawn = String::new();
    for level in 1..=depth {
        drawn.push_str(match (level == depth, follows(level)) {
            (true, true) => "├─ ",
            (true, false) => "└─ ",
            (false, true) => "│  ",
            (false, false) => "   ",
        });
    }
    drawn
}

fn headline(request: &Request) -> String {
    let took = request.ended_at.as_ref().and_then(|end| between(&request.created_at, end));
    let took = took.map_or(String::new(), |took| format!(" in {}", span(took)));
    format!(
        "{}  {}{took}  {} of {} done  {}",
        asked(request),
        request.status,
        request.progress.done,
        request.progress.total,
        request.id
    )
}

fn reasons(request: &Request) -> Vec<String> {
    let mut rows = request.failure.as_ref().map_or_else(Vec::new, failure);
    if let Some(id) = request.failure.as_ref().and_then(|failure| failure.dataset_id.as_ref()) {
        if let Some((number, of)) = which(request, id) {
            rows.push(format!("  dataset  #{number} of {of}"));
        }
        rows.push(format!("  see      sixpack datasets show {id}"));
    }
    rows
}

/// Which of the request's datasets a part belongs to, when there are several.
fn which(request: &Request, part: &str) -> Option<(usize, usize)> {
    let trees = trees(&request.progress.steps);
    let roots = |tree: &[Step]| tree.iter().find_map(|step| step.dataset_id.clone());
    let number =
        trees.iter().position(|tree| roots(tree).is_some_and(|id| root_of(&id) == root_of(part)))? + 1;
    (trees.len() > 1).then_some((number, trees.len()))
}

fn inner(depth: usize, name: String) -> Branch {
    Branch { depth, name, contract: String::new(), status: String::new(), took: None, says: String::new() }
}

fn leaf(step: &Step, depth: usize, name: String, running: Option<Duration>) -> Branch {
    let ended = match (&step.started_at, &step.ended_at) {
        (Some(start), Some(end)) => between(start, end),
        _ => running,
    };
    Branch {
        depth,
        name,
        contract: contract(step),
        status: step.status.to_string(),
        took: ended,
        says: says(step),
    }
}

/// What there is to say about a step: which go at it, whether it came from stock, and the supplier's own words.
pub(super) fn says(step: &Step) -> String {
    let attempt = step.attempt.filter(|attempt| *attempt > 1).map(|attempt| format!("attempt {attempt}"));
    let stocked = step.from_stock.as_ref().map(|_| "from stock".to_owned());
    let says = [attempt, stocked, step.message.clone()].into_iter().flatten().filter(|text| !text.is_empty());
    says.collect::<Vec<_>>().join(": ")
}

/// Contract and version of a step, as far as they are known.
pub(super) fn contract(step: &Step) -> String {
    step.version.map_or_else(|| step.contract.clone(), |version| format!("{}@{version}", step.contract))
}

/// The id of the root that a part belongs to: `ds_…_3` is a part of `ds_…`.
fn root_of(id: &str) -> &str {
    match id.rsplit_once('_') {
        Some((root, _)) if root.contains('_') => root,
        _ => id,
    }
}

/// What is drawn before a status. One of a newer server is drawn as something that goes on.
fn symbol(status: &str) -> &'static str {
    match CheckVerdict::from(status) {
        CheckVerdict::Invalid => return "✖",
        CheckVerdict::Undecided => return "?",
        _ => {}
    }
    match DatasetStatus::from(status) {
        DatasetStatus::Pending => "·",
        DatasetStatus::Waiting => "◌",
        DatasetStatus::Checking => "◆",
        DatasetStatus::Ready | DatasetStatus::Leased => "✔",
        DatasetStatus::Suspect => "?",
        DatasetStatus::Failed | DatasetStatus::Quarantined => "✖",
        DatasetStatus::Skipped => "–",
        DatasetStatus::Undoing => "↩",
        DatasetStatus::Gone => "○",
        DatasetStatus::Debt => "!",
        DatasetStatus::Cancelling => "×",
        _ => "●",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn request(steps: Value) -> Request {
        serde_json::from_value(json!({
            "id":"req_1","environment":"default","contract":"a/b","version":1,"status":"building","revision":1,
            "created_at":"2026-11-22T10:41:07.120Z","deadline_at":"2026-11-22T10:46:07.120Z",
            "progress":{"done":1,"total":3,"steps":steps}
        }))
        .unwrap()
    }

    fn step(id: &str, path: &str, status: &str) -> Value {
        json!({"dataset_id":id,"path":path,"contract":"x/y","version":2,"status":status})
    }

    #[test]
    fn a_tree_is_drawn_from_the_paths_of_its_leaves() {
        let mut payment = step("ds_1_3", "ready › payment", "building");
        payment["attempt"] = 2.into();
        payment["message"] = "waiting for verification".into();
        let mut customer = step("ds_1_2", "ready › customer", "ready");
        customer["started_at"] = "2026-11-22T10:41:07.131Z".into();
        customer["ended_at"] = "2026-11-22T10:41:07.420Z".into();
        let request = request(json!([customer, payment, step("ds_1_4", "order", "pending")]));
        let drawn = branches(&steps(&request, |_| Some(Duration::from_secs(2))));
        assert_eq!(
            drawn,
            [
                "├─ ready",
                "│  ├─ customer  x/y@2  ✔ ready            289 ms",
                "│  └─ payment   x/y@2  ● building          2.0 s  attempt 2: waiting for verification",
                "└─ order        x/y@2  · pending           2.0 s",
            ]
        );
    }

    #[test]
    fn steps_that_have_not_begun_belong_to_the_dataset_before_them() {
        let not_begun = |path: &str| json!({"path":path,"contract":"x/y","status":"pending"});
        let request = request(json!([
            step("ds_a_1", "one", "ready"),
            not_begun("two"),
            step("ds_b_1", "one", "waiting"),
            not_begun("two"),
            not_begun("one"),
        ]));
        let sizes: Vec<_> = trees(&request.progress.steps).iter().map(|tree| tree.len()).collect();
        assert_eq!(sizes, [2, 2, 1]);
    }

    #[test]
    fn several_datasets_are_numbered() {
        let request = request(json!([step("ds_1", "", "ready"), step("ds_2", "", "waiting")]));
        let drawn = branches(&steps(&request, |_| None));
        assert_eq!(drawn, ["├─ #1", "│  └─ x/y  x/y@2  ✔ ready", "└─ #2", "   └─ x/y  x/y@2  ◌ waiting"]);
    }

    #[test]
    fn the_root_of_a_part_is_found_in_its_id() {
        assert_eq!((root_of("ds_ab_12"), root_of("ds_ab")), ("ds_ab", "ds_ab"));
    }

    #[test]
    fn a_failure_of_one_of_several_datasets_says_which_and_counts_the_rest() {
        let mut failed = request(json!([
            step("ds_a_1", "one", "gone"),
            step("ds_a_2", "two", "gone"),
            step("ds_b_1", "one", "gone"),
            step("ds_b_2", "two", "failed"),
        ]));
        failed.failure = serde_json::from_value(json!({
            "path":"two › x/y@2","class":"rejected","message":"no","contract":"x/y","version":2,
            "dataset_id":"ds_b_2","owner":{"team":"X"},"attempts":1,"blocked":[],
            "undo":{"done":["one › x/y@2","one › x/y@2","two › x/y@2"],"pending":[],"debts":[]}
        }))
        .unwrap();
        let told = reasons(&failed);
        assert!(told.contains(&"  dataset  #2 of 2".to_owned()), "{told:?}");
        assert!(told.contains(&"  undone   2 × one › x/y@2, two › x/y@2".to_owned()), "{told:?}");
    }

    #[test]
    fn what_came_from_stock_and_is_there_again_was_not_handed_over_and_is_not_undone() {
        let mut failed = request(json!([]));
        failed.progress.total = 0;
        failed.status = sixpack::wire::RequestStatus::Expired;
        failed.failure = serde_json::from_value(json!({
            "path":"bank/account@1","class":"timeout","message":"the time of the request is over","contract":"bank/account",
            "version":1,"owner":{"team":"Bank"},"attempts":0,"undo":{"done":[],"pending":[],"debts":[]}
        }))
        .unwrap();
        let told = not_made(&failed);
        assert_eq!(told[0], "sixpack: a/b@1 was not handed over: bank/account@1 timeout");
        assert!(!told.iter().any(|line| line.contains("undoing")), "{told:?}");
        // In the moment of its end it may be with the request still.
        let made_at = |at: &str| {
            let mut made = step("ds_1", "", "checking");
            made["ended_at"] = at.into();
            request(json!([made])).progress
        };
        failed.progress = made_at("2026-11-22T10:41:07.119Z");
        assert!(not_made(&failed)[0].contains("was not handed over"), "{:?}", not_made(&failed));
        failed.progress = made_at("2026-11-22T10:41:07.121Z");
        assert!(not_made(&failed)[0].contains("was not made"), "{:?}", not_made(&failed));
    }

    #[test]
    fn a_failure_says_who_why_and_what_became_of_the_rest() {
        let mut failed = request(json!([]));
        failed.status = sixpack::wire::RequestStatus::Failed;
        failed.failure = serde_json::from_value(json!({
            "path":"payment › billing/payment-account@3","class":"rejected","code":"currency_mismatch",
            "message":"currency CZK does not fit country FR","details":{"allowed":["EUR"]},
            "contract":"billing/payment-account","version":3,"dataset_id":"ds_1_2",
            "owner":{"team":"Billing","contact":"billing@shop.test","issues":"https://issues.shop.test"},
            "attempts":1,"retried":[{"path":"ready › checkout/ready-customer@2","attempts":3}],"blocked":["order › order/prepared-order@1"],
            "lately":{"failures":12,"of":40,"since":"2026-11-22T09:41:08.000Z","first_failed_at":"2026-11-22T10:31:08.000Z"},
            "undo":{"done":["customer › customer/active-customer@1"],"pending":[],"debts":[]}
        }))
        .unwrap();
        assert_eq!(
            not_made(&failed),
            [
                "sixpack: a/b@1 was not made: payment › billing/payment-account@3 rejected",
                "  reason   currency CZK does not fit country FR (code currency_mismatch)",
                "  details  {\"allowed\":[\"EUR\"]}",
                "  part     payment › billing/payment-account@3",
                "  owner    Billing · billing@shop.test · https://issues.shop.test",
                "  attempts 1",
                "  retried  ready › checkout/ready-customer@2 (3 attempts)",
                "  blocked  order › order/prepared-order@1",
                "  lately   12 of 40 failed since 2026-11-22 09:41:08 UTC, the first at 2026-11-22 10:31:08 UTC",
                "  undone   customer › customer/active-customer@1",
                "  see      sixpack datasets show ds_1_2",
                "           sixpack requests show req_1",
            ]
        );
    }
}
