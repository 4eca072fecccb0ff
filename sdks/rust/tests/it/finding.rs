//! Finding and importing with the SDK: existing data is leased, by one holder at a time, and never undone.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sixpack::wire::{ImportRow, NewImport, Origin};
use sixpack::{
    About, Capability, Context, DynamicCapability, Find, NoFacts, Operation, Owner, Produce, Source,
    Supplier, Undo,
};

use crate::server::{Server, until};

/// The users that its service has.
const KNOWN: [&str; 2] = ["ada", "boris"];

#[derive(Deserialize, JsonSchema)]
struct Input {}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Output {
    #[schemars(extend("x-entity" = "user"))]
    user: String,
}

struct User {
    undone: Arc<AtomicUsize>,
}

impl Capability for User {
    const NAME: &'static str = "user";
    const OPERATIONS: &'static [Operation] = &[Operation::Produce, Operation::Undo, Operation::Find];
    type Input = Input;
    type Output = Output;
    type Facts = NoFacts;

    fn about(&self) -> About {
        About::new("A user of the shop")
    }

    async fn produce(&self, cx: &Context, _: Input) -> Produce<Output> {
        Ok(Output { user: cx.unique().to_owned() })
    }

    async fn find(&self, cx: &Context, _: Input) -> Find<Output> {
        let free = KNOWN.into_iter().find(|user| !cx.is_excluded("user", user));
        assert_eq!(cx.operation(), Operation::Find);
        Ok(free.map(|user| Output { user: user.to_owned() }))
    }

    async fn undo(&self, _: &Context, _: Input, output: Option<Output>) -> Undo {
        assert!(output.is_some_and(|output| !KNOWN.contains(&output.user.as_str())));
        self.undone.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

#[tokio::test]
async fn what_a_typed_capability_finds_is_leased_once_and_never_undone() {
    let server = Server::start().await;
    let client = server.client();
    let undone = Arc::new(AtomicUsize::new(0));
    let supplier = Supplier::new("shop").owner(Owner::new("Shop")).url(&server.url).token(&server.token);
    let mut running = supplier.capability(User { undone: Arc::clone(&undone) }).start().unwrap();
    running.ready().await.unwrap();
    let ask = || client.request("shop/user").source(Source::FindFirst).send();
    let mut leases = Vec::new();
    let mut users = Vec::new();
    for _ in 0..3 {
        let lease = ask().await.unwrap();
        users.push(lease.json()["user"].as_str().unwrap().to_owned());
        leases.push(lease);
    }
    assert_eq!(users[..2], KNOWN, "each is somebody else's");
    let origins = async |id: &str| client.dataset(id).await.unwrap().origin;
    assert_eq!(origins(leases[0].dataset_id()).await, Some(Origin::Found));
    assert_eq!(origins(leases[2].dataset_id()).await, Some(Origin::Made));
    let made = client.dataset(leases[2].dataset_id()).await.unwrap().search.unwrap();
    assert_eq!(made.given_up.unwrap().code, "nothing_found");
    let mut events = server.events();
    for lease in leases {
        lease.release().await.unwrap();
    }
    for _ in 0..3 {
        until(&mut events, "dataset.gone").await;
    }
    assert_eq!(undone.load(Ordering::SeqCst), 1, "only what was made");
    running.drain().await.unwrap();
}

#[tokio::test]
async fn what_is_imported_is_in_stock_or_nothing_of_it() {
    let server = Server::start().await;
    let client = server.client();
    let output: Value = json!({
        "type": "object", "required": ["id"],
        "properties": { "id": { "type": "string", "x-entity": "order" } },
    });
    let order = DynamicCapability::new("order", |cx, _| async move { Ok(json!({ "id": cx.unique() })) });
    let mut running = server.supplier(order.output_schema(output)).start().unwrap();
    running.ready().await.unwrap();
    let row = |id: Value| ImportRow::new(json!({}), json!({ "id": id }));
    let bad = NewImport::new("shop/order", vec![row(json!("o-1")), row(json!(7))]);
    let refused = client.import("default", &bad).await.unwrap_err();
    assert_eq!(refused.code(), Some("rows_invalid"), "{refused}");
    let good = NewImport::new("shop/order", vec![row(json!("o-1"))]);
    let imported = client.import("default", &good).await.unwrap();
    assert_eq!(imported.datasets.len(), 1);
    let lease = client.request("shop/order").source(Source::StockOnly).send().await.unwrap();
    assert_eq!(lease.json()["id"], "o-1");
    assert_eq!(client.dataset(lease.dataset_id()).await.unwrap().origin, Some(Origin::Imported));
    let mut events = server.events();
    lease.release().await.unwrap();
    until(&mut events, "dataset.released").await;
    running.drain().await.unwrap();
}
