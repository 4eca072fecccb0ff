//! Families: every metric that there is, with what it says, whose number it is, and what tells its series apart.
//!
//! `docs/operating.md` has the same table for people; a test holds the two against each other.

/// What kind of number it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Only grows; its name ends with `_total`.
    Counter,
    /// Goes up and down.
    Gauge,
    /// How often values came that were no larger than each of some bounds.
    Histogram,
    /// Labels alone; its name ends with `_info`.
    Info,
}

/// Whose number it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    /// That of this server since it started: add those of all servers up.
    Server,
    /// That of the whole store: the same from every server, so take the largest.
    Store,
}

/// A metric.
#[derive(Debug)]
pub(super) struct Family {
    /// Without the ending that its kind gives it.
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) of: Of,
    pub(super) labels: &'static [&'static str],
    /// What it says, in one line.
    pub(super) help: &'static str,
}

impl Family {
    /// What it says, and whose number it is when it is not this server's.
    pub(super) fn told(&self) -> String {
        match self.of {
            Of::Server => self.help.to_owned(),
            Of::Store => format!("{} Of the whole store: the same from every server.", self.help),
        }
    }
}

const fn counter(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Family {
    Family { name, kind: Kind::Counter, of: Of::Server, labels, help }
}

const fn gauge(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Family {
    Family { name, kind: Kind::Gauge, of: Of::Server, labels, help }
}

const fn histogram(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Family {
    Family { name, kind: Kind::Histogram, of: Of::Server, labels, help }
}

const fn whole(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Family {
    Family { name, kind: Kind::Gauge, of: Of::Store, labels, help }
}

const CAPABILITY: &[&str] = &["environment", "capability"];
const SUPPLIER: &[&str] = &["environment", "domain"];
const RULE: &[&str] = &["environment", "rule"];

/// Every metric, in the order in which they are shown.
pub(super) const FAMILIES: &[Family] = &[
    counter("sixpack_http_requests", &["route", "method", "status"], "Calls that were answered."),
    histogram(
        "sixpack_http_request_duration_seconds",
        &["route", "method"],
        "Until the answer began, of calls that did not wait for news.",
    ),
    gauge("sixpack_http_in_flight", &[], "Calls that are worked on."),
    gauge("sixpack_http_parked", &[], "Calls that wait for news."),
    counter("sixpack_http_refused", &["code"], "Problems that were answered, by their code."),
    gauge("sixpack_http_connections_open", &[], "Open connections."),
    counter("sixpack_http_connections_refused", &[], "Connections refused because too many were open."),
    counter("sixpack_requests_accepted", &["environment"], "Requests of consumers that were accepted."),
    counter(
        "sixpack_requests_ended",
        &["environment", "status"],
        "Requests that have ended; stocked is a refill whose dataset is in stock.",
    ),
    whole("sixpack_requests_open", &[], "Requests that have not ended, refills among them."),
    whole("sixpack_request_overdue_seconds", &[], "How long the request is over its time that is longest."),
    counter("sixpack_tasks_ended", &["environment", "capability", "outcome"], "Attempts that have ended."),
    histogram(
        "sixpack_task_duration_seconds",
        CAPABILITY,
        "How long an attempt was in its supplier's hands.",
    ),
    histogram("sixpack_task_wait_seconds", CAPABILITY, "How long a task was due when it was handed out."),
    whole("sixpack_tasks", &["state"], "Tasks that wait to be handed out, and that suppliers have in hand."),
    whole("sixpack_task_due_seconds", &[], "How long the task has been due that is due longest."),
    counter("sixpack_leases_granted", &["environment"], "Leases that were granted."),
    counter("sixpack_leases_ended", &["environment", "how"], "Leases that have ended."),
    counter("sixpack_lease_fenced", &["operation"], "Calls refused because another fence is live."),
    histogram("sixpack_lease_reap_delay_seconds", &[], "How long a lease was over when it was reaped."),
    whole("sixpack_leases_held", &["environment"], "Leases that are held."),
    whole("sixpack_lease_overdue_seconds", &[], "How long the lease is over and not reaped that is longest."),
    whole("sixpack_stock_ready", RULE, "Datasets that can be taken, when the line was looked at last."),
    whole("sixpack_stock_coming", RULE, "Datasets that are being made for it."),
    whole("sixpack_stock_target", RULE, "Datasets that are to be kept ready at this time."),
    whole("sixpack_stock_lacking", RULE, "Datasets that are missing to the target."),
    counter("sixpack_stock_served", &["result"], "Datasets that came from stock, and that were not there."),
    whole("sixpack_supplier_sessions", SUPPLIER, "Live sessions of suppliers."),
    whole("sixpack_supplier_seen_seconds", SUPPLIER, "Since a live session was last heard of."),
    whole("sixpack_debts", &[], "Effects that could not be undone."),
    whole("sixpack_quarantined", &[], "Datasets in quarantine."),
    histogram(
        "sixpack_store_commit_duration_seconds",
        &[],
        "From the beginning of a transaction until it was flushed.",
    ),
    histogram("sixpack_store_writes_per_commit", &[], "Writes that shared a commit, with SQLite."),
    counter("sixpack_store_failures", &["class"], "Reads and writes that failed."),
    counter("sixpack_store_retries", &[], "Writes that were carried out again, with PostgreSQL."),
    gauge("sixpack_store_connections_used", &[], "Connections to PostgreSQL in use."),
    gauge("sixpack_store_connections_waiting", &[], "Callers that wait for a connection to PostgreSQL."),
    gauge("sixpack_store_counted", &[], "1 when the numbers of the whole store could be read, 0 when not."),
    whole("sixpack_store_size_bytes", &[], "What the store takes on its disk."),
    whole("sixpack_store_log_bytes", &[], "The log of SQLite that is not folded into the database yet."),
    whole(
        "sixpack_backup_last_success_timestamp_seconds",
        &[],
        "When the last backup of a store in SQLite was done.",
    ),
    counter("sixpack_panics", &[], "Panics in this process, each of which is a mistake of ours."),
    Family {
        name: "sixpack_build",
        kind: Kind::Info,
        of: Of::Server,
        labels: &["version", "commit", "store", "schema_version"],
        help: "What runs.",
    },
    counter("process_cpu_seconds", &[], "Time of processors that this process has used."),
    gauge("process_resident_memory_bytes", &[], "Memory of this process."),
    gauge("process_open_fds", &[], "Open files and connections of this process."),
    gauge("process_max_fds", &[], "How many it may have."),
    gauge("process_start_time_seconds", &[], "When it was started."),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The name under which a metric is shown.
    fn shown(family: &Family) -> String {
        let ending = match family.kind {
            Kind::Counter => "_total",
            Kind::Gauge | Kind::Histogram => "",
            Kind::Info => "_info",
        };
        format!("{}{ending}", family.name)
    }

    const OPERATING: &str = include_str!("../../../../docs/operating.md");
    const ALERTS: &str = include_str!("../../../../deploy/alerts.yml");

    #[test]
    fn names_are_unique_and_say_their_unit() {
        let names: BTreeSet<_> = FAMILIES.iter().map(|family| family.name).collect();
        assert_eq!(names.len(), FAMILIES.len());
        for family in FAMILIES {
            assert!(family.name.starts_with("sixpack_") || family.name.starts_with("process_"), "{family:?}");
            for other_unit in ["_ms", "_minutes", "_kib", "_percent"] {
                assert!(!family.name.contains(other_unit), "{family:?}");
            }
        }
    }

    #[test]
    fn the_table_of_the_documentation_is_that_of_the_code() {
        let table = OPERATING.split("<!-- metrics -->").nth(1).expect("the table is marked");
        let told: Vec<Vec<&str>> = table
            .lines()
            .filter(|line| line.starts_with("| `"))
            .map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
            .collect();
        let rows: Vec<Vec<String>> = FAMILIES
            .iter()
            .map(|family| {
                let labels: Vec<_> = family.labels.iter().map(|label| format!("`{label}`")).collect();
                let of = if family.of == Of::Store { "store" } else { "server" };
                let name = format!("`{}`", shown(family));
                vec![name, of.to_owned(), labels.join(", "), family.help.trim_end_matches('.').to_owned()]
            })
            .collect();
        for (told, row) in told.iter().zip(&rows) {
            assert_eq!(told, row, "docs/operating.md");
        }
        assert_eq!(told.len(), rows.len(), "docs/operating.md");
    }

    #[test]
    fn every_alert_is_about_metrics_that_there_are_and_leads_to_a_section() {
        let known: BTreeSet<String> = FAMILIES
            .iter()
            .flat_map(|family| match family.kind {
                Kind::Histogram => {
                    ["_bucket", "_sum", "_count"].map(|end| format!("{}{end}", family.name)).to_vec()
                }
                _ => vec![shown(family)],
            })
            .collect();
        let expressions = ALERTS.lines().filter(|line| !line.trim_start().starts_with('#'));
        let words = expressions
            .flat_map(|line| line.split(|letter: char| !(letter.is_alphanumeric() || letter == '_')));
        for name in words.filter(|word| word.starts_with("sixpack_") || word.starts_with("process_")) {
            assert!(known.contains(name), "deploy/alerts.yml names {name}");
        }
        let sections: BTreeSet<String> = OPERATING
            .lines()
            .filter_map(|line| Some(line.trim_start_matches('#').trim()).filter(|_| line.starts_with('#')))
            .map(|title| {
                let kept = title.chars().filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter));
                kept.collect::<String>().to_lowercase().replace(' ', "-")
            })
            .collect();
        let alerts = ALERTS.matches("- alert: ").count();
        let runbooks: Vec<&str> = ALERTS
            .lines()
            .filter_map(|line| line.trim().strip_prefix("runbook: docs/operating.md#"))
            .collect();
        assert!(alerts > 10, "{alerts}");
        assert_eq!(runbooks.len(), alerts, "every alert names its section");
        for runbook in runbooks {
            assert!(sections.contains(runbook), "docs/operating.md has no section #{runbook}");
        }
    }
}
