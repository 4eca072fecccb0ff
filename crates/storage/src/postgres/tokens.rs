//! Tokens in PostgreSQL.

use async_trait::async_trait;
use jiff::Timestamp;
use sixpack_model::event::Event;
use sixpack_model::ids::TokenId;
use sixpack_model::token::{LAST_USE_MS, Token};
use tokio_postgres::Row;
use uuid::Uuid;

use super::PostgresStore;
use super::columns::{code, get, id, int, ms, ms_of, number_of_code, time, time_at, time_of, unreadable};
use super::events::EventRow;
use super::faults::Fault;
use super::limits::TOKENS;
use super::statements::Connection;
use crate::error::StoreError;
use crate::tokens::Tokens;

#[async_trait]
impl Tokens for PostgresStore {
    async fn now(&self) -> Result<Timestamp, StoreError> {
        self.inner.now("asking for the time").await.map(time)
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.write("proving that the store can be written to", (), |tx, ()| {
            Box::pin(async move { tx.connection.later("UPDATE meta SET created_at = created_at", &[]).await })
        })
        .await
    }

    async fn create_token(&self, token: Token, event: Event) -> Result<(), StoreError> {
        let input = (token, EventRow::from(event));
        self.write("keeping a token", input, |tx, (token, event)| {
            Box::pin(async move {
                let keep =
                    "INSERT INTO token (id, name, role, environment, domain, hash, created_at, expires_at,
                                               revoked_at)
                            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
                tx.connection
                    .later(
                        keep,
                        &[
                            &token.id.0,
                            &token.name,
                            &number_of_code(token.role),
                            &token.environment,
                            &token.domain,
                            &token.hash.as_slice(),
                            &ms(token.created_at),
                            &ms_of(token.expires_at),
                            &ms_of(token.revoked_at),
                        ],
                    )
                    .await?;
                tx.tell(event);
                Ok(())
            })
        })
        .await
    }

    async fn token_by_hash(&self, hash: &[u8; 32]) -> Result<Option<Token>, StoreError> {
        self.read("finding a token", *hash, |connection, hash| {
            Box::pin(async move {
                let find = format!("SELECT {COLUMNS} FROM token WHERE hash = $1");
                connection.one(&find, &[&hash.as_slice()], read_token).await
            })
        })
        .await
    }

    async fn tokens(&self) -> Result<Vec<Token>, StoreError> {
        self.read("listing tokens", (), |connection, ()| {
            Box::pin(async move {
                let list = format!("SELECT {COLUMNS} FROM token ORDER BY id DESC LIMIT $1");
                connection.all(&list, &[&TOKENS], read_token).await
            })
        })
        .await
    }

    async fn note_token_uses(&self, uses: Vec<(TokenId, Timestamp)>) -> Result<(), StoreError> {
        self.write("noting uses of tokens", uses, |tx, uses| {
            Box::pin(async move {
                // Rows are locked in the order of their ids: two servers note the same tokens at the same time.
                let tokens: Vec<Uuid> = uses.iter().map(|(token, _)| token.0).collect();
                let times: Vec<i64> = uses.iter().map(|(_, at)| ms(*at)).collect();
                let note = "WITH used AS (SELECT token, max(at) AS at FROM unnest($1::uuid[], $2::bigint[]) AS u (token, at)
                                          GROUP BY token),
                                 kept AS MATERIALIZED (SELECT t.id, u.at FROM token t JOIN used u ON u.token = t.id
                                     WHERE t.last_used_at IS NULL OR t.last_used_at <= u.at - $3
                                     ORDER BY t.id FOR NO KEY UPDATE OF t)
                            UPDATE token t SET last_used_at = k.at FROM kept k WHERE t.id = k.id";
                tx.connection.later(note, &[&tokens, &times, &int(LAST_USE_MS)]).await
            })
        })
        .await
    }

    async fn revoke_token(&self, token: TokenId, event: Event) -> Result<Option<Token>, StoreError> {
        let input = (token, EventRow::from(event));
        self.write("taking a token back", input, |tx, (token, event)| {
            Box::pin(async move {
                let revoke = "UPDATE token SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL";
                if tx.connection.run(revoke, &[&token.0, &tx.now]).await? > 0 {
                    tx.tell(event);
                }
                token_by_id(&tx.connection, *token).await
            })
        })
        .await
    }
}

const COLUMNS: &str =
    "id, name, role, environment, domain, hash, created_at, expires_at, revoked_at, last_used_at";

async fn token_by_id(connection: &Connection, token: TokenId) -> Result<Option<Token>, Fault> {
    let find = format!("SELECT {COLUMNS} FROM token WHERE id = $1");
    connection.one(&find, &[&token.0], read_token).await
}

fn read_token(row: &Row) -> Result<Token, Fault> {
    Ok(Token {
        id: TokenId(id(row, 0)?),
        name: get(row, 1)?,
        role: code(row, 2)?,
        environment: get(row, 3)?,
        domain: get(row, 4)?,
        hash: get::<&[u8]>(row, 5)?.try_into().map_err(|cause| unreadable(5, cause))?,
        created_at: time_at(row, 6)?,
        expires_at: time_of(row, 7)?,
        last_used_at: time_of(row, 9)?,
        revoked_at: time_of(row, 8)?,
    })
}
