//! What the delivery team publishes: an address that a van goes to.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sixpack::{About, Capability, Check, Context, Operation, Produce, Undo, Verdict};

use super::progress::{Pause, checked, produced, stopped};
use super::{Country, choose};
use crate::client::{DeliveryClient, Refusal};
use crate::delivery::{Address, NewAddress};

/// City, postcode and street of places with many vans.
type Place = (&'static str, &'static str, &'static str);

const CZECH: [Place; 2] = [("Praha", "11000", "Celetná 1"), ("Brno", "60200", "Kobližná 2")];
const FRENCH: [Place; 2] = [("Paris", "75011", "rue Oberkampf 3"), ("Lyon", "69002", "rue Mercière 4")];
const GERMAN: [Place; 2] = [("Berlin", "10115", "Chausseestraße 5"), ("Köln", "50667", "Hohe Straße 6")];

/// `delivery/serviceable-address`.
pub(super) struct ServiceableAddress(pub(super) DeliveryClient);

#[derive(Deserialize, JsonSchema)]
pub(super) struct Input {
    /// Who is found there.
    #[schemars(extend("x-entity" = "customer"))]
    pub(super) customer_id: String,
    /// Where the address lies.
    #[serde(default)]
    pub(super) country: Country,
}

#[derive(Serialize, Deserialize, JsonSchema)]
pub(super) struct Output {
    #[schemars(extend("x-entity" = "address"))]
    address_id: String,
    /// Such as `FR-75`.
    zone: String,
    /// One in which a van comes.
    #[schemars(extend("x-selectable" = true))]
    slot: String,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Facts {
    #[schemars(extend("x-volatile" = true))]
    address_id: String,
    #[schemars(extend("x-volatile" = true))]
    customer_id: String,
    country: String,
    zone: String,
    /// Whether a van goes there.
    serviceable: bool,
}

impl Capability for ServiceableAddress {
    const NAME: &'static str = "serviceable-address";
    const OPERATIONS: &'static [Operation] = &[Operation::Produce, Operation::Check, Operation::Undo];
    type Input = Input;
    type Output = Output;
    type Facts = Facts;

    fn about(&self) -> About {
        About::new("An address of a customer that a van goes to, with a slot.").label("pii", "synthetic")
    }

    async fn produce(&self, cx: &Context, input: Input) -> Produce<Output> {
        let made = self.note(cx.idempotency_key(), input, cx.seed()).await;
        let Address { address_id, zone, slots, .. } = produced(cx, made, &[])?;
        match slots.into_iter().next() {
            Some(slot) => Ok(Output { address_id, zone, slot }),
            None => Err(cx.reject("address_not_serviceable", format!("no van goes to zone {zone}"))),
        }
    }

    async fn check(&self, _: &Context, input: Input, output: Output) -> Check<Facts> {
        checked(self.0.address(&output.address_id).await, |address| {
            let holds = address.serviceable && address.customer_id == input.customer_id;
            let facts = Facts {
                address_id: address.address_id,
                customer_id: address.customer_id,
                country: address.country,
                zone: address.zone,
                serviceable: address.serviceable,
            };
            Verdict::when(holds, facts)
        })
    }

    async fn undo(&self, cx: &Context, _: Input, output: Option<Output>) -> Undo {
        self.forget(cx.idempotency_key(), output.map(|output| output.address_id)).await.map_err(stopped)
    }
}

impl ServiceableAddress {
    pub(super) async fn note(&self, key: &str, input: Input, seed: u64) -> Result<Address, Pause> {
        let places = match input.country {
            Country::Cz => &CZECH,
            Country::Fr => &FRENCH,
            Country::De => &GERMAN,
        };
        let (city, postcode, street) = *choose(places, seed);
        let new = NewAddress {
            customer_id: input.customer_id,
            country: input.country.as_str().to_owned(),
            city: city.to_owned(),
            postcode: postcode.to_owned(),
            street: street.to_owned(),
        };
        Ok(self.0.add_address(key, &new).await?)
    }

    pub(super) async fn forget(&self, key: &str, id: Option<String>) -> Result<(), Refusal> {
        let id = match id {
            Some(id) => Some(id),
            None => self.0.address_by_key(key).await?.map(|address| address.address_id),
        };
        match id {
            Some(id) => self.0.delete_address(&id).await,
            None => Ok(()),
        }
    }
}
