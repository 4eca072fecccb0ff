//! A small supplier of two domains, and a scenario over them.

use serde_json::{Value, json};
use sixpack::{About, DynamicCapability, Owner, Running, Supplier, Verdict};
use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::program::Place;

/// A customer with an open account.
pub(crate) const SCENARIO: &str = r#"scenario: checkout/paying-customer
owner: { team: Checkout, contact: checkout@shop.test }
description: A customer with an open payment account.
input:
  type: object
  properties:
    country: { type: string, enum: [CZ, FR, DE, IT, SE], default: FR }
steps:
  customer: { uses: customer/active-customer, with: { country: "${{ input.country }}" } }
  payment:  { uses: billing/payment-account, with: { customer_id: "${{ steps.customer.customer_id }}", country: "${{ input.country }}" } }
output:
  customer_id: "${{ steps.customer.customer_id }}"
  account_id: "${{ steps.payment.account_id }}"
"#;

/// Two suppliers that run as long as this lives. Billing refuses Germany, never undoes an account in Italy, and takes its
/// time in Sweden. Czech customers have a login that is another one each time.
pub(crate) struct Shop {
    sweden: watch::Sender<bool>,
    blocked: watch::Sender<bool>,
    suppliers: Vec<Running>,
    runtime: Runtime,
}

impl Shop {
    /// Starts the suppliers, and returns when their contracts are published.
    pub(crate) fn open(place: &Place) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let sweden = watch::Sender::new(false);
        let opens = sweden.subscribe();
        let blocked = watch::Sender::new(false);
        let blocks = blocked.subscribe();
        let suppliers = runtime.block_on(async {
            let billing = billing(place, "a", opens);
            let mut suppliers = vec![customer(place, blocks).start().unwrap(), billing.start().unwrap()];
            for supplier in &mut suppliers {
                supplier.ready().await.unwrap();
            }
            suppliers
        });
        Self { sweden, blocked, suppliers, runtime }
    }
}

impl Shop {
    /// Starts billing as it is under development: its accounts say by their ids whose work they are.
    pub(crate) fn develop(&self, place: &Place, channel: &str) -> Running {
        self.run(billing(place, "work", self.sweden.subscribe()).dev(channel))
    }

    /// Starts billing under development with a change that breaks the scenario.
    pub(crate) fn develop_a_break(&self, place: &Place, channel: &str) -> Running {
        let renamed =
            DynamicCapability::new("payment-account", |_, _| async { Ok(json!({ "number": "1" })) });
        let renamed = renamed.about(About::new("An account by another name")).output_schema(
            json!({"type":"object","properties":{"number":{"type":"string"}},"required":["number"]}),
        );
        self.run(supplier(place, "billing", "Billing").dynamic(renamed).dev(channel))
    }

    /// Drains all suppliers, and returns when they are gone.
    pub(crate) fn close(self) {
        for running in self.suppliers {
            self.runtime.block_on(running.drain()).unwrap();
        }
    }

    /// Drains a supplier, and returns when it is gone.
    pub(crate) fn end(&self, running: Running) {
        self.runtime.block_on(running.drain()).unwrap();
    }

    fn run(&self, supplier: Supplier) -> Running {
        self.runtime.block_on(async {
            let mut running = supplier.start().unwrap();
            running.ready().await.unwrap();
            running
        })
    }

    /// Lets billing make and undo accounts in Sweden, which it does not before.
    pub(crate) fn open_sweden(&self) {
        self.sweden.send_replace(true);
    }

    /// Blocks every customer behind everyone's back: a check says so.
    pub(crate) fn block_customers(&self) {
        self.blocked.send_replace(true);
    }

    /// No more of that, and whoever was blocked is not any more.
    pub(crate) fn unblock_customers(&self) {
        self.blocked.send_replace(false);
    }

    /// Closes Sweden again.
    pub(crate) fn close_sweden(&self) {
        self.sweden.send_replace(false);
    }
}

async fn allowed(input: &Value, mut sweden: watch::Receiver<bool>) {
    if input["country"] == "SE" {
        // The other side lives as long as the suppliers do.
        let _ = sweden.wait_for(|open| *open).await;
    }
}

fn customer(place: &Place, blocked: watch::Receiver<bool>) -> Supplier {
    let active = DynamicCapability::new("active-customer", |cx, _| async move {
        Ok(json!({ "customer_id": format!("c-{}", cx.unique()) }))
    })
    .about(About::new("A customer that may buy").label("pii", "none"))
    .input_schema(json!({"type":"object","properties":{"country":{"type":"string"}},"required":["country"]}))
    .output_schema(json!({
        "type":"object","properties":{"customer_id":{"type":"string","x-entity":"customer"}},"required":["customer_id"]
    }))
    .facts_schema(json!({
        "type":"object","properties":{"status":{"type":"string"},"customer_id":{"type":"string","x-volatile":true}}
    }))
    .with_check(move |cx, input, output| {
        let is_blocked = *blocked.borrow();
        async move {
            let status = if is_blocked { "BLOCKED" } else { "ACTIVE" };
            let mut facts = json!({ "status": status, "customer_id": output["customer_id"] });
            if input["country"] == "CZ" {
                facts["login"] = cx.unique().into();
            }
            match is_blocked {
                true => Ok(Verdict::invalid(facts, "the customer is blocked")),
                false => Ok(Verdict::valid(facts)),
            }
        }
    })
    .with_undo(|_, _, _| async { Ok(()) });
    supplier(place, "customer", "Customer").dynamic(active)
}

fn billing(place: &Place, build: &'static str, sweden: watch::Receiver<bool>) -> Supplier {
    let to_undo = sweden.clone();
    let account = DynamicCapability::new("payment-account", move |cx, input| {
        let sweden = sweden.clone();
        async move {
            allowed(&input, sweden).await;
            if input["country"] == "DE" {
                // Colours and a title: what a supplier says must not steer a terminal.
                return Err(cx.reject("country_closed", "no accounts in \u{1b}[31mDE\u{1b}[0m until Monday"));
            }
            Ok(json!({ "account_id": format!("{build}-{}", cx.unique()) }))
        }
    })
    .about(About::new("An open payment account"))
    .input_schema(json!({
        "type":"object","properties":{"customer_id":{"type":"string"},"country":{"type":"string"}},
        "required":["customer_id","country"]
    }))
    .output_schema(
        json!({"type":"object","properties":{"account_id":{"type":"string"}},"required":["account_id"]}),
    )
    .with_undo(move |cx, input, _| {
        let sweden = to_undo.clone();
        async move {
            allowed(&input, sweden).await;
            match input["country"] == "IT" {
                true => Err(cx.reject("has_bookings", "the account has bookings")),
                false => Ok(()),
            }
        }
    });
    supplier(place, "billing", "Billing").build(build).dynamic(account)
}

fn supplier(place: &Place, domain: &str, team: &str) -> Supplier {
    let owner = Owner::new(team).contact(format!("{domain}@shop.test"));
    Supplier::new(domain).owner(owner).url(place.url()).token(place.token()).instance("tests")
}
