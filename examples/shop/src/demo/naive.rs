//! Act 1: a script that calls the four services one after another, and waits for nothing.

use anyhow::{Context as _, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use shop::client::http_client;
use shop::service::ServiceName;

use super::landscape::Landscape;
use super::stage::{Act, Stage};

pub(super) const ACT: Act = Act {
    number: Some(1),
    name: "naive_script",
    headline: "a script that calls the services one after another",
    watch: "Every call is right. Look for the one that is refused all the same: that service has not heard the news yet.",
    expected: "one service refuses with 409 what another has just confirmed",
};

/// Plays it; the evidence is every call with its answer.
pub(super) async fn play(landscape: &Landscape, stage: &Stage) -> anyhow::Result<Value> {
    let mut script = Script { landscape, stage, http: http_client()?, calls: Vec::new(), made: Vec::new() };
    let end = script.run().await;
    let left = script.tidy_up().await;
    let refused = match end {
        Ok(()) => None,
        Err(Stop::Refused(answer)) => Some(answer),
        Err(Stop::Broken(error)) => return Err(error),
    };
    let left = left?;
    let refused = refused.context("no service refused anything; the news was faster than the script")?;
    ensure!(refused["status"] == 409, "the refusal is no 409: {refused}");
    stage.say(format!(
        "\nThe script stops there, and leaves behind what it has made: {left} entities. (Deleted again by hand.)"
    ));
    Ok(json!({ "calls": script.calls, "refused": refused, "left_behind": left }))
}

/// Why the script does not go on.
enum Stop {
    Refused(Value),
    Broken(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Broken(error.into())
    }
}

struct Script<'a> {
    landscape: &'a Landscape,
    stage: &'a Stage,
    http: reqwest::Client,
    calls: Vec<Value>,
    made: Vec<(ServiceName, String)>,
}

impl Script<'_> {
    /// From a new customer to a scheduled delivery, as each team's documentation says.
    async fn run(&mut self) -> Result<(), Stop> {
        use ServiceName::{Billing, Customer, Delivery, Order};
        let new = json!({ "email": "naive@shop.test", "name": "Naive Test", "country": "FR" });
        let customer = self.make(Customer, "customers", "customer_id", new).await?;
        self.post(Customer, &format!("customers/{customer}/verify"), None).await?;
        self.post(Customer, &format!("customers/{customer}/activate"), None).await?;
        let place = json!({ "customer_id": customer, "country": "FR", "city": "Paris", "postcode": "75011",
                            "street": "rue Oberkampf 3" });
        let address = self.make(Delivery, "addresses", "address_id", place).await?;
        let account =
            self.make(Billing, "accounts", "account_id", json!({ "customer_id": customer })).await?;
        let card = json!({ "kind": "card" });
        self.post(Billing, &format!("accounts/{account}/payment-method"), Some(card)).await?;
        let order = self.make(Order, "orders", "order_id", json!({ "customer_id": customer })).await?;
        let line = json!({ "sku": "mug", "quantity": 1 });
        self.post(Order, &format!("orders/{order}/lines"), Some(line)).await?;
        self.post(Order, &format!("orders/{order}/prepare"), None).await?;
        self.post(Order, &format!("orders/{order}/place"), None).await?;
        self.post(Order, &format!("orders/{order}/pay"), None).await?;
        let shipment = json!({ "order_id": order, "address_id": address, "slot": "MORNING" });
        self.post(Delivery, "shipments", Some(shipment)).await?;
        Ok(())
    }

    async fn make(
        &mut self,
        service: ServiceName,
        collection: &str,
        id: &str,
        new: Value,
    ) -> Result<String, Stop> {
        let made = self.post(service, collection, Some(new)).await?;
        let id = made[id].as_str().context("an answer without the id of what was made")?.to_owned();
        self.made.push((service, format!("{collection}/{id}")));
        Ok(id)
    }

    async fn post(&mut self, service: ServiceName, path: &str, body: Option<Value>) -> Result<Value, Stop> {
        let mut call = self.http.request(Method::POST, self.url(service, path));
        if let Some(body) = &body {
            call = call.json(body);
        }
        let answer = call.send().await?;
        let status = answer.status();
        let answer: Value = answer.json().await?;
        let telling = ["status", "zone", "message"].iter().find_map(|field| answer[*field].as_str());
        self.stage.say(format!(
            "  POST {:<9} /{path:<62} → {} {}",
            service.as_str(),
            status.as_u16(),
            telling.unwrap_or_default()
        ));
        let call = json!({ "service": service, "path": format!("/{path}"), "body": body,
                           "status": status.as_u16(), "answer": answer });
        self.calls.push(call.clone());
        if status.is_success() { Ok(answer) } else { Err(Stop::Refused(call)) }
    }

    /// What a script does not do; says how much there was.
    async fn tidy_up(&self) -> anyhow::Result<usize> {
        for (service, path) in self.made.iter().rev() {
            let answer = self.http.delete(self.url(*service, path)).send().await?;
            ensure!(answer.status().is_success(), "{service} does not delete /{path}: {}", answer.status());
        }
        Ok(self.made.len())
    }

    fn url(&self, service: ServiceName, path: &str) -> String {
        let urls = &self.landscape.urls;
        let base = match service {
            ServiceName::Customer => &urls.customer,
            ServiceName::Order => &urls.order,
            ServiceName::Billing => &urls.billing,
            ServiceName::Delivery => &urls.delivery,
        };
        format!("{base}/{path}")
    }
}
