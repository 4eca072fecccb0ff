//! The rules of billing: which currency fits, when an account is open, and what may be charged.

use rusqlite::{OptionalExtension, Transaction, params};

use super::copies::{self, KnownOrder};
use super::{Account, AccountStatus, NewAccount, NewCharge};
use crate::entity::{self, get};
use crate::events::emit;
use crate::http::Denial;
use crate::order::OrderStatus;

/// Which currency an account has in which country.
const CURRENCIES: [(&str, &str); 3] = [("CZ", "CZK"), ("DE", "EUR"), ("FR", "EUR")];

/// How a customer can pay.
const METHODS: [&str; 1] = ["card"];

pub(super) fn open_account(
    transaction: &Transaction<'_>,
    key: Option<&str>,
    new: &NewAccount,
) -> Result<String, Denial> {
    let customer_id = &new.customer_id;
    let Some(home) = copies::country_of(transaction, customer_id)? else {
        let message = format!(
            "billing has not heard of a customer `{customer_id}`; if it is new, the news may still be on its way"
        );
        return Err(Denial::conflict("customer_unknown", message));
    };
    let country = new.country.as_ref().unwrap_or(&home);
    let Some((_, fitting)) = CURRENCIES.iter().find(|(served, _)| served == country) else {
        return Err(Denial::unfit("country_not_served", format!("billing does not serve `{country}`")));
    };
    if let Some(currency) = &new.currency
        && currency != fitting
    {
        let message = format!("an account in {country} is kept in {fitting}, not in `{currency}`");
        return Err(Denial::unfit("currency_unfit", message));
    }
    if let Some(other) = account_of(transaction, customer_id)?
        && other.status != AccountStatus::Closed
    {
        return Err(account_exists(&other));
    }
    let id = entity::new_id("acc");
    transaction.execute(
        "INSERT INTO accounts (id, key, customer_id, country, currency) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![id, key, customer_id, country, fitting],
    )?;
    Ok(id)
}

/// Hands a method to the bank. One that is there stays, so that asking twice does not start over.
pub(super) fn add_payment_method(
    transaction: &Transaction<'_>,
    id: &str,
    kind: &str,
    verified_at_ms: i64,
) -> Result<Account, Denial> {
    let account: Account = get(transaction, id)?;
    if !METHODS.contains(&kind) {
        let message = format!("nobody can pay by `{kind}`; known are: {}", METHODS.join(", "));
        return Err(Denial::unfit("payment_method_unknown", message));
    }
    if account.status == AccountStatus::Closed {
        return Err(closed(&account));
    }
    transaction.execute(
        "UPDATE accounts SET method = ?2, verified_at_ms = ?3 WHERE id = ?1 AND method IS NULL",
        params![id, kind, verified_at_ms],
    )?;
    get(transaction, id)
}

/// Closing twice is closing once.
pub(super) fn close(transaction: &Transaction<'_>, id: &str) -> Result<Account, Denial> {
    let before: Account = get(transaction, id)?;
    let account = close_silently(transaction, id)?;
    if before.status != AccountStatus::Closed {
        emit(transaction, "account.closed", &account)?;
    }
    Ok(account)
}

pub(super) fn close_silently(transaction: &Transaction<'_>, id: &str) -> Result<Account, Denial> {
    transaction.execute("UPDATE accounts SET closed = 1 WHERE id = ?1", [id])?;
    get(transaction, id)
}

/// Undoes the closing, whoever has closed it. An account that is not closed stays as it is.
pub(super) fn reopen(transaction: &Transaction<'_>, id: &str) -> Result<Account, Denial> {
    let before: Account = get(transaction, id)?;
    if before.status != AccountStatus::Closed {
        return Ok(before);
    }
    if let Some(other) = account_of(transaction, &before.customer_id)?
        && other.status != AccountStatus::Closed
    {
        return Err(account_exists(&other));
    }
    transaction.execute("UPDATE accounts SET closed = 0 WHERE id = ?1", [id])?;
    let account = get(transaction, id)?;
    emit(transaction, "account.reopened", &account)?;
    Ok(account)
}

pub(super) fn charge(
    transaction: &Transaction<'_>,
    key: Option<&str>,
    new: &NewCharge,
) -> Result<String, Denial> {
    let order = placed_order(transaction, &new.order_id)?;
    let account = open_account_for(transaction, new, &order)?;
    if account.currency != order.currency {
        let message = format!("the order is in {}, the account in {}", order.currency, account.currency);
        return Err(Denial::conflict("currency_mismatch", message));
    }
    if new.amount_cents != order.total_cents {
        let message =
            format!("order {} costs {}, not {} cents", new.order_id, order.total_cents, new.amount_cents);
        return Err(Denial::conflict("amount_mismatch", message));
    }
    let mut charges = transaction.prepare_cached("SELECT 1 FROM charges WHERE order_id = ?1")?;
    if charges.exists([&new.order_id])? {
        return Err(already_charged(&new.order_id));
    }
    let id = entity::new_id("chg");
    transaction.execute(
        "INSERT INTO charges (id, key, order_id, account_id, amount_cents, currency) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![id, key, new.order_id, account.account_id, new.amount_cents, account.currency],
    )?;
    emit(transaction, "payment.captured", &get::<super::Charge>(transaction, &id)?)?;
    Ok(id)
}

/// The order as billing knows it, which may be a moment behind.
fn placed_order(transaction: &Transaction<'_>, id: &str) -> Result<KnownOrder, Denial> {
    let Some(order) = copies::known_order(transaction, id)? else {
        let message = format!(
            "billing has not heard of an order `{id}`; if it is new, the news may still be on its way"
        );
        return Err(Denial::conflict("order_unknown", message));
    };
    match order.status {
        OrderStatus::Placed => Ok(order),
        OrderStatus::Paid => Err(already_charged(id)),
        status => {
            let message =
                format!("order {id} is {status} as far as billing has heard; only PLACED orders are charged");
            Err(Denial::conflict("order_not_placed", message))
        }
    }
}

fn open_account_for(
    transaction: &Transaction<'_>,
    new: &NewCharge,
    order: &KnownOrder,
) -> Result<Account, Denial> {
    let account = match (&new.account_id, &new.customer_id) {
        (Some(id), None) => entity::find::<Account>(transaction, "id", id)?,
        (None, Some(customer_id)) => account_of(transaction, customer_id)?,
        _ => {
            let message = "say who pays: either `account_id` or `customer_id`";
            return Err(Denial::unfit("payer_unclear", message));
        }
    };
    let Some(account) = account else {
        let message = format!("customer {} has no such account; open one first", order.customer_id);
        return Err(Denial::conflict("account_missing", message));
    };
    if account.customer_id != order.customer_id {
        let message = format!("account {} belongs to another customer than the order", account.account_id);
        return Err(Denial::conflict("account_of_other_customer", message));
    }
    match (account.status, &account.payment_method) {
        (AccountStatus::Open, _) => Ok(account),
        (AccountStatus::Closed, _) => Err(closed(&account)),
        (AccountStatus::Pending, None) => {
            let message = format!("account {} has no payment method; add one first", account.account_id);
            Err(Denial::conflict("payment_method_missing", message))
        }
        (AccountStatus::Pending, Some(method)) => {
            let message = format!(
                "the bank has not verified the {} of account {} yet; try again in a moment",
                method.kind, account.account_id
            );
            Err(Denial::conflict("payment_method_not_verified", message))
        }
    }
}

/// The account of a customer: the one that is not closed, else the latest.
fn account_of(transaction: &Transaction<'_>, customer_id: &str) -> Result<Option<Account>, Denial> {
    let id: Option<String> = transaction
        .prepare_cached("SELECT id FROM accounts WHERE customer_id = ?1 ORDER BY closed, rowid DESC LIMIT 1")?
        .query_row([customer_id], |row| row.get(0))
        .optional()?;
    id.map(|id| get(transaction, &id)).transpose()
}

fn account_exists(account: &Account) -> Denial {
    let Account { customer_id, account_id, .. } = account;
    Denial::conflict("account_exists", format!("customer {customer_id} has the account {account_id} already"))
}

fn closed(account: &Account) -> Denial {
    Denial::conflict("account_closed", format!("account {} is closed", account.account_id))
}

fn already_charged(order_id: &str) -> Denial {
    Denial::conflict("order_already_charged", format!("order {order_id} is charged already"))
}
