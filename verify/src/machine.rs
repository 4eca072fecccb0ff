//! The machine that figures were measured on.

use serde_json::{Value, json};

/// Processor, cores, memory and kernel.
pub(crate) fn describe() -> Value {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split(':').nth(1)).unwrap_or_default().trim().to_owned()
    };
    json!({
        "processor": field(&read("/proc/cpuinfo"), "model name"),
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "memory": field(&read("/proc/meminfo"), "MemTotal"),
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
        "load_before": read("/proc/loadavg").split_whitespace().next().unwrap_or_default(),
    })
}

/// How long one small write takes to reach the disk, in milliseconds: what every acknowledged change waits for.
pub(crate) fn flush_ms(folder: &std::path::Path) -> anyhow::Result<f64> {
    use std::io::Write as _;
    const WRITES: u32 = 200;
    let mut file = std::fs::File::create(folder.join("flush-probe"))?;
    let begun = std::time::Instant::now();
    for _ in 0..WRITES {
        file.write_all(&[0; 4096])?;
        file.sync_data()?;
    }
    Ok(begun.elapsed().as_secs_f64() * 1000.0 / f64::from(WRITES))
}
