// A landscape for the examples of the documentation: a server with suppliers, for as long as an example runs.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use sixpack::wire::{EventFilter, NewStockRule};
use sixpack::{Client, DynamicCapability, Error, Owner, Running, Supplier};
use sixpack_engine::{Engine, EngineSettings, NewToken, Sweeper};
use sixpack_model::token::Role;
use sixpack_server::{ServerSettings, serve};
use sixpack_storage::sqlite::{Durability, Settings, SqliteStore};
use tokio::net::TcpListener;

/// Longest an example waits for anything; reached only when something hangs.
const DEADLINE: Duration = Duration::from_secs(60);

/// Runs an example of a consumer: what it asks for is on offer, and one `checkout/ready-customer` is in stock.
pub fn consume(example: impl AsyncFnOnce(Client) -> Result<(), Error>) {
    run(async |url, token| {
        let client = Client::new(&url, &token)?;
        let _suppliers = offer(&url, &token).await;
        fill(&client).await?;
        example(client).await
    });
}

/// The same for an example that finds the server by its environment.
pub fn consume_by_environment(example: impl AsyncFnOnce() -> Result<(), Error>) {
    run(async |url, token| {
        let _suppliers = offer(&url, &token).await;
        enter(&url, &token);
        example().await
    });
}

/// Runs an example of a supplier, which goes on for ever, until this contract is on offer.
pub fn supply(contract: &str, example: impl AsyncFnOnce() -> Result<(), Error>) {
    run(async |url, token| {
        enter(&url, &token);
        let mut events = Client::new(&url, &token)?.events(&EventFilter::default(), Some(0));
        let published = async {
            while events.next().await?.contract.as_deref() != Some(contract) {}
            Ok(())
        };
        tokio::select! {
            ended = example() => panic!("the supplier ended: {ended:?}"),
            published = published => published,
        }
    });
}

fn run(example: impl AsyncFnOnce(String, String) -> Result<(), Error>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let ran = async {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings { durability: Durability::TestsOnly, ..Settings::default() };
        let store = SqliteStore::open(folder.path(), settings).unwrap();
        let engine = Engine::start(Arc::new(store), EngineSettings::default()).await.unwrap();
        let (name, role) = ("example".to_owned(), Role::Admin);
        let new = NewToken { name, role, environment: None, domain: None, lifetime: None };
        let token = engine.create_token(new).await.unwrap().secret;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let _sweeper = Sweeper::start(&engine);
        tokio::spawn(serve(listener, engine, ServerSettings::default(), Default::default()));
        tokio::time::timeout(DEADLINE, example(url, token)).await.expect("an example takes no minute")
    };
    runtime.block_on(ran).unwrap();
    runtime.shutdown_background();
}

/// Examples that read their environment run in a process of their own (`standalone_crate`).
fn enter(url: &str, token: &str) {
    // SAFETY: nothing else in this process reads or writes its environment now.
    unsafe {
        std::env::set_var("SIXPACK_URL", url);
        std::env::set_var("SIXPACK_TOKEN", token);
    }
}

async fn offer(url: &str, token: &str) -> Vec<Running> {
    let customer = json!({"customer_id": "c-17", "order_id": "o-9", "slot": "MORNING"});
    let capabilities = [
        ("checkout", "ready-customer", customer),
        ("customer", "active-customer", json!({"customer_id": "c-17"})),
        ("billing", "gift-card", json!({"card_id": "g-1"})),
        ("order", "paid-order", json!({"order_id": "o-9"})),
    ];
    let mut suppliers = Vec::new();
    for (domain, name, output) in capabilities {
        let supplier = Supplier::new(domain).owner(Owner::new(domain)).url(url).token(token);
        let mut running = supplier.dynamic(capability(name, output)).start().unwrap();
        running.ready().await.unwrap();
        suppliers.push(running);
    }
    suppliers
}

fn capability(name: &str, output: Value) -> DynamicCapability {
    let text = || json!({"type": "string", "x-selectable": true});
    let properties: serde_json::Map<String, Value> =
        output.as_object().unwrap().keys().map(|name| (name.clone(), text())).collect();
    DynamicCapability::new(name, move |_cx, _input| std::future::ready(Ok(output.clone())))
        .with_undo(|_cx, _input, _output| std::future::ready(Ok(())))
        .input_schema(json!({"type": "object", "properties": {
            "country": {"type": "string"}, "lines": {"type": "integer", "default": 2},
            "amount": {"type": "integer"}, "method": {"type": "string"},
        }}))
        .output_schema(json!({"type": "object", "properties": properties}))
}

async fn fill(client: &Client) -> Result<(), Error> {
    let rule = NewStockRule::new("checkout/ready-customer", 1).input(json!({ "country": "FR" }));
    let mut events = client.events(&EventFilter::default(), Some(0));
    client.put_stock_rule("default", "ready-customer-fr", &rule).await?;
    while events.next().await?.kind != "request.fulfilled" {}
    Ok(())
}
