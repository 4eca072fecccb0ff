//! Bad inputs: what a refusal costs the server in time and memory, row by row, and which row costs most.
//!
//! Figures are reported and never asserted; what is held is the status of each answer, and that the server serves on.

mod rows;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::api::Api;
use crate::processes::Server;
use rows::{Row, Stage};

/// What a refusal may cost: a body has to be there before it can be refused, and memory counts from there.
const AIM_MS: f64 = 100.0;
const AIM_MB_BEYOND_INPUT: f64 = 16.0;

/// Each row is sent so often: the median time counts, because the machine is noisy, and the largest growth, because memory is not.
const TIMES: usize = 3;

/// Longer than any answer takes.
const CALL_LIMIT: Duration = Duration::from_secs(60);

/// What one row has cost.
struct Cost {
    row: &'static str,
    status: u16,
    ms: f64,
    mb: f64,
    input_mb: f64,
}

impl Cost {
    fn mb_beyond_input(&self) -> f64 {
        (self.mb - self.input_mb).max(0.0)
    }
}

/// Sends every row to a fresh server.
pub(crate) async fn measure(binary: &Path) -> anyhow::Result<Value> {
    let folder = tempfile::tempdir()?;
    let server = Server::start(binary, folder.path()).await?;
    let api = server.api()?;
    let session = prepare(&api).await?;
    let stage = Stage { address: api.address(), token: api.token(), session: &session };
    let mut costs = Vec::new();
    for row in rows::all(&stage) {
        costs.push(cost(&server, &api, row).await?);
    }
    let worst = |figure: fn(&Cost) -> f64| {
        let worst = costs.iter().max_by(|one, other| figure(one).total_cmp(&figure(other)));
        worst.map(shown).context("there are rows")
    };
    let over: Vec<Value> = costs
        .iter()
        .filter(|cost| cost.ms > AIM_MS || cost.mb_beyond_input() > AIM_MB_BEYOND_INPUT)
        .map(shown)
        .collect();
    Ok(json!({
        "aim": { "ms_below": AIM_MS, "growth_mb_beyond_input_below": AIM_MB_BEYOND_INPUT },
        "rows": costs.len(),
        "worst_time": worst(|cost| cost.ms)?,
        "worst_memory": worst(Cost::mb_beyond_input)?,
        "over_aim": over,
        "all": costs.iter().map(shown).collect::<Vec<_>>(),
    }))
}

fn shown(cost: &Cost) -> Value {
    let round = |figure: f64| (figure * 10.0).round() / 10.0;
    json!({
        "row": cost.row, "status": cost.status, "ms": round(cost.ms), "growth_mb": round(cost.mb),
        "input_mb": round(cost.input_mb),
    })
}

/// A supplier by hand with a capability to ask for, and a scenario whose expressions are as costly as any can be.
async fn prepare(api: &Api) -> anyhow::Result<String> {
    let manifest = json!({
        "environment": "default", "domain": "bad", "instance": "by-hand", "owner": { "team": "Bench" },
        "capabilities": [{
            "name": "step",
            "input": { "type": "object", "properties": { "word": { "type": "string", "pattern": "^(a+)+$" } } },
            "output": { "type": "object" },
        }],
    });
    let opened = api.post("/v1/sessions", &manifest, None).await?;
    ensure!(opened.status == 201, "a session was refused: {} {}", opened.status, opened.body);
    api.put_scenario("bad/bomb", rows::BOMB).await?;
    Ok(opened.body["id"].as_str().context("a session without an id")?.to_owned())
}

async fn cost(server: &Server, api: &Api, row: Row) -> anyhow::Result<Cost> {
    let Row { name, status, bytes } = row;
    let mut times = Vec::new();
    let mut growth_kb = 0;
    for _ in 0..TIMES {
        let before = server.rss_kb()?;
        server.forget_peak()?;
        let asked = Instant::now();
        let answered = exchange(api.address(), &bytes).await.with_context(|| format!("sending {name}"))?;
        times.push(asked.elapsed());
        growth_kb = growth_kb.max(server.peak_kb()?.saturating_sub(before));
        ensure!(answered == status, "{name} was answered {answered}, not {status}");
    }
    ensure!(api.is_ready().await, "the server does not serve on after {name}");
    times.sort();
    let ms = times[TIMES / 2].as_secs_f64() * 1000.0;
    let (mb, input_mb) = (growth_kb as f64 / 1024.0, bytes.len() as f64 / (1024.0 * 1024.0));
    Ok(Cost { row: name, status, ms, mb, input_mb })
}

/// Sends bytes on a connection of their own; returns the status of the first answer, once it is read to its end.
async fn exchange(address: &str, bytes: &[u8]) -> anyhow::Result<u16> {
    let mut stream = TcpStream::connect(address).await?;
    let (mut reading, mut writing) = stream.split();
    let sending = async {
        // A server that has answered takes no more.
        let _taken = writing.write_all(bytes).await;
        std::future::pending::<()>().await;
    };
    let receiving = async {
        let mut answer = Vec::new();
        // Every row asks for the connection to be closed, or has it closed; a reset behind the answer is an end, too.
        let _ended = reading.read_to_end(&mut answer).await;
        answer
    };
    let answer = tokio::time::timeout(CALL_LIMIT, async {
        tokio::select! {
            () = sending => unreachable!("sending never ends"),
            answer = receiving => answer,
        }
    });
    let answer = answer.await.context("no answer in time")?;
    let status = answer.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
    status.context("the connection was closed without an answer")
}
