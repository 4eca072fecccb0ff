//! Process: what the operating system says about this process. Where it says nothing, nothing is told.

use std::fs;

use super::page::Page;

/// Ticks of the kernel's clock for a second, as it tells them to programs on every architecture.
const TICKS_PER_S: f64 = 100.0;

/// Adds what is known.
pub(super) fn add(page: &mut Page, started_at_s: f64) {
    if let Some(seconds) = fs::read_to_string("/proc/self/stat").ok().and_then(|text| processor_s(&text)) {
        page.seconds("process_cpu_seconds", &[], seconds);
    }
    if let Some(bytes) = fs::read_to_string("/proc/self/status").ok().and_then(|text| resident_bytes(&text)) {
        page.number("process_resident_memory_bytes", &[], bytes);
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        // One of them is the folder that is being read.
        page.number("process_open_fds", &[], open.count().saturating_sub(1) as u64);
    }
    if let Some(most) = fs::read_to_string("/proc/self/limits").ok().and_then(|text| most_files(&text)) {
        page.number("process_max_fds", &[], most);
    }
    page.seconds("process_start_time_seconds", &[], started_at_s);
}

/// The fields behind the name, which may hold blanks and brackets: user and system time are the 12th and 13th.
fn processor_s(stat: &str) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS_PER_S)
}

fn resident_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024)
}

/// The limit that holds; none when there is none.
fn most_files(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_says_is_understood() {
        let stat = "4711 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0 9";
        assert_eq!(processor_s(stat), Some(3.0));
        assert_eq!(resident_bytes("Name:\tx\nVmRSS:\t   2048 kB\nThreads:\t9\n"), Some(2048 * 1024));
        let limits = "Limit  Soft  Hard  Units\nMax open files            1024                 524288               files\n";
        assert_eq!(most_files(limits), Some(1024));
        assert_eq!(
            most_files("Max open files            unlimited            unlimited            files\n"),
            None
        );
        assert_eq!((processor_s(""), resident_bytes("")), (None, None));
    }
}
