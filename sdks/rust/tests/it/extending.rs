//! Extensions: a lease that is advanced by a client.

use serde_json::json;
use sixpack::wire::FailureClass;
use sixpack::{DynamicCapability, Error};

use crate::server::Server;

#[tokio::test]
async fn a_lease_is_extended_from_what_it_hands_on_and_says_why_when_it_cannot_be() {
    let server = Server::start().await;
    let order =
        DynamicCapability::new("order", |cx, _| async move { Ok(json!({ "order_id": cx.unique() })) })
            .output_schema(json!({"type": "object", "properties": {"order_id": {"type": "string"}}}));
    let input = json!({
        "type": "object",
        "properties": { "order_id": { "type": "string" }, "method": { "type": "string", "default": "CARD" } },
        "required": ["order_id"],
    });
    let paid = DynamicCapability::new("paid", |cx, input| async move {
        match input["method"] == "CASH" {
            true => Err(cx.reject("no_cash", "cards only")),
            false => Ok(json!({ "order_id": input["order_id"], "method": input["method"] })),
        }
    });
    let mut running = server.supplier(order).dynamic(paid.input_schema(input)).start().unwrap();
    running.ready().await.unwrap();
    let lease = server.client().request("shop/order").send().await.unwrap();
    let extension = lease.extend("shop/paid").send().await.unwrap();
    assert_eq!(extension.step, "extend_1");
    assert_eq!(extension.output, json!({ "order_id": lease.json()["order_id"], "method": "CARD" }));
    let refused = lease.extend("shop/paid").input(json!({ "method": "CASH" })).send().await.unwrap_err();
    assert!(matches!(refused, Error::NotExtended(_)), "{refused}");
    let failure = refused.failure().unwrap();
    assert_eq!((failure.class, failure.code.as_deref()), (FailureClass::Rejected, Some("no_cash")));
    let told = refused.to_string();
    assert!(told.contains("shop/paid was not made: extend_2 › shop/paid@1 rejected: cards only"), "{told}");
    let unknown = lease.extend("shop/nothing").send().await.unwrap_err();
    assert_eq!(unknown.code(), Some("contract_not_found"), "{unknown}");
    let released = lease.release().await.unwrap();
    let steps: Vec<&str> = released.extensions.iter().map(|extension| extension.step.as_str()).collect();
    assert_eq!(steps, ["extend_1", "extend_2"]);
}
