//! The rules of delivery: what is shipped, where to, and in which slot.

use rusqlite::{Transaction, params};

use super::{Address, NewAddress, NewShipment, ShipmentStatus, copies, zones};
use crate::entity;
use crate::http::Denial;
use crate::order::OrderStatus;

pub(super) fn note_address(
    transaction: &Transaction<'_>,
    key: Option<&str>,
    new: &NewAddress,
) -> Result<String, Denial> {
    if new.street.trim().is_empty() || new.city.trim().is_empty() {
        return Err(Denial::unfit("address_incomplete", "an address has a street and a city"));
    }
    let zone = zones::zone(&new.country, &new.postcode)?;
    let id = entity::new_id("adr");
    transaction.execute(
        "INSERT INTO addresses (id, key, customer_id, country, city, postcode, street, zone, serviceable)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        params![
            id,
            key,
            new.customer_id,
            new.country,
            new.city,
            zone.postcode,
            new.street,
            zone.name,
            zone.serviceable
        ],
    )?;
    Ok(id)
}

pub(super) fn schedule(
    transaction: &Transaction<'_>,
    key: Option<&str>,
    new: &NewShipment,
) -> Result<String, Denial> {
    let customer_id = customer_of_paid_order(transaction, &new.order_id)?;
    let Some(address) = entity::find::<Address>(transaction, "id", &new.address_id)? else {
        let message = format!("there is no address `{}`; note it first", new.address_id);
        return Err(Denial::conflict("address_unknown", message));
    };
    if address.customer_id != customer_id {
        let message = format!("address {} is of another customer than the order", new.address_id);
        return Err(Denial::conflict("address_of_other_customer", message));
    }
    if !address.serviceable {
        let message = format!("no van goes to {} {} (zone {})", address.postcode, address.city, address.zone);
        return Err(Denial::conflict("address_not_serviceable", message));
    }
    if !address.slots.contains(&new.slot) {
        let message =
            format!("zone {} has no slot `{}`, only {}", address.zone, new.slot, address.slots.join(", "));
        return Err(Denial::conflict("slot_not_offered", message));
    }
    let mut shipments = transaction.prepare_cached("SELECT 1 FROM shipments WHERE order_id = ?1")?;
    if shipments.exists([&new.order_id])? {
        let message = format!("order {} has a shipment already", new.order_id);
        return Err(Denial::conflict("order_already_shipped", message));
    }
    let id = entity::new_id("shp");
    transaction.execute(
        "INSERT INTO shipments (id, key, order_id, address_id, slot, status) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![id, key, new.order_id, new.address_id, new.slot, ShipmentStatus::Scheduled],
    )?;
    Ok(id)
}

pub(super) fn stop_serving(transaction: &Transaction<'_>, id: &str) -> Result<Address, Denial> {
    transaction.execute("UPDATE addresses SET serviceable = 0 WHERE id = ?1", [id])?;
    entity::get(transaction, id)
}

/// Asks the copy, which may be a moment behind.
fn customer_of_paid_order(transaction: &Transaction<'_>, id: &str) -> Result<String, Denial> {
    let heard = match copies::known_order(transaction, id)? {
        Some((OrderStatus::Paid, customer_id)) => return Ok(customer_id),
        Some((status, _)) => format!("delivery has heard that order {id} is {status}"),
        None => format!("delivery has not heard of an order `{id}`"),
    };
    let message = format!("{heard}; only PAID orders are shipped, and the news may still be on its way");
    Err(Denial::conflict("order_not_paid", message))
}
