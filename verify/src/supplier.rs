//! Suppliers for load: they make effects in the world of [`crate::effects`], or do nothing, and sometimes misbehave.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::Request;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use sixpack::{About, Context, DynamicCapability, Owner, RetryRule, Stop, Supplier, Verdict};

/// Performs the domain's one capability `step` until a signal comes.
pub(crate) async fn run(
    domain: &str,
    instance: usize,
    effects: Option<String>,
    seed: u64,
) -> anyhow::Result<()> {
    fastrand::seed(seed);
    let capability = match effects {
        Some(effects) => busy(effects),
        None => idle(),
    };
    let supplier = Supplier::new(domain)
        .owner(Owner::new(domain))
        .instance(format!("{domain}-{instance}"))
        .concurrency(256)
        .dynamic(capability);
    Ok(supplier.run().await?)
}

/// Does nothing and says so at once: what is measured is everything around it.
fn idle() -> DynamicCapability {
    DynamicCapability::new("step", |cx: Context, _input| async move { Ok(json!({ "id": cx.unique() })) })
        .output_schema(output_schema())
}

fn output_schema() -> Value {
    let properties = json!({ "id": { "type": "string" }, "attempt": { "type": "integer" } });
    json!({ "type": "object", "properties": properties, "required": ["id"] })
}

/// What a busy supplier may do to the people who rely on it, out of a hundred times.
const REJECTS: u8 = 3;
const STUMBLES: u8 = 6;
const TAKES_ITS_TIME: u8 = 6;

/// Making takes so many milliseconds: long enough that most who stand still have something in hand.
const WORK_MS: std::ops::Range<u64> = 0..60;

/// Whoever stands still for longer loses the attempt to somebody else, and answers late.
const ATTEMPT: Duration = Duration::from_secs(2);

fn busy(effects: String) -> DynamicCapability {
    let world = World::new(&effects);
    let (make, look, undo) = (world.clone(), world.clone(), world);
    // Many attempts with short pauses: a kill costs attempts, and what is looked for is not patience.
    let rule = RetryRule::attempts(30).delays_ms(20, 500);
    DynamicCapability::new("step", move |cx, input| produce(make.clone(), cx, input))
        .about(
            About::new("An effect in the world")
                .timeout(ATTEMPT)
                .retry(rule)
                // So that most of what is in stock is asked about before it is handed over.
                .fresh_for(Duration::from_secs(1)),
        )
        .output_schema(output_schema())
        .with_check(move |cx, _input, _output| check(look.clone(), cx))
        .with_undo(move |cx, _input, _output| remove(undo.clone(), cx))
}

async fn produce(world: World, cx: Context, input: Value) -> Result<Value, Stop> {
    let chance = fastrand::u8(..100);
    if chance < REJECTS {
        return Err(cx.reject("unlucky", "the domain says no"));
    }
    if chance < REJECTS + TAKES_ITS_TIME && cx.state::<u32>()?.is_none() {
        return Err(cx.again_after(Duration::from_millis(20), 1, "it takes a moment"));
    }
    let after = input["after"].as_str().map(|after| format!("&after={after}")).unwrap_or_default();
    let (key, attempt, by) = (cx.idempotency_key(), cx.attempt(), std::process::id());
    let effect = format!("{key}?attempt={attempt}&by={by}{after}");
    // It blocks, as many suppliers do, so that nobody can tell it in between that its time is over: when it stood still, it answers late.
    tokio::task::block_in_place(|| {
        tokio::runtime::Handle::current().block_on(async {
            tokio::time::sleep(Duration::from_millis(fastrand::u64(WORK_MS))).await;
            world.call("PUT", &effect).await
        })
    })?;
    if chance > 100 - STUMBLES {
        return Err(cx.retry("stumbled", "made, and then forgotten to say so"));
    }
    // Each attempt says which it is, so that a late result can be told from the recorded one.
    Ok(json!({ "id": cx.idempotency_key(), "attempt": cx.attempt() }))
}

async fn check(world: World, cx: Context) -> Result<Verdict<Value>, Stop> {
    Ok(Verdict::when(world.call("GET", cx.idempotency_key()).await? == 200, json!({})))
}

async fn remove(world: World, cx: Context) -> Result<(), Stop> {
    if fastrand::u8(..100) < STUMBLES {
        return Err(cx.retry("stumbled", "not now"));
    }
    world.call("DELETE", cx.idempotency_key()).await?;
    Ok(())
}

/// The world behind the supplier.
#[derive(Clone)]
struct World {
    address: String,
    client: Client<HttpConnector, Empty<Bytes>>,
}

impl World {
    fn new(address: &str) -> Self {
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { address: address.to_owned(), client }
    }

    async fn call(&self, method: &str, key: &str) -> anyhow::Result<u16> {
        let uri = format!("{}/effects/{key}", self.address);
        let request = Request::builder().method(method).uri(uri).body(Empty::new())?;
        Ok(self.client.request(request).await?.status().as_u16())
    }
}
