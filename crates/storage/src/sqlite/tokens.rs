//! Tokens in SQLite.

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Connection, Row, params};
use sixpack_model::event::Event;
use sixpack_model::ids::TokenId;
use sixpack_model::token::{LAST_USE_MS, Token};

use super::SqliteStore;
use super::codes::Code;
use super::columns::{code, id, int, ms, ms_of, time_at, time_of};
use super::events::EventRow;
use super::limits::TOKENS;
use super::statements::Statements;
use crate::error::StoreError;
use crate::tokens::Tokens;

#[async_trait]
impl Tokens for SqliteStore {
    async fn now(&self) -> Result<Timestamp, StoreError> {
        Ok(self.clock_now())
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.write("proving that the store can be written to", |tx| {
            tx.connection.run("UPDATE meta SET created_at = created_at", []).map(|_| ())
        })
        .await
    }

    async fn create_token(&self, token: Token, event: Event) -> Result<(), StoreError> {
        let event = EventRow::from(event);
        self.write("keeping a token", move |tx| {
            tx.connection.run(
                "INSERT INTO token (id, name, role, environment, domain, hash, created_at, expires_at, revoked_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
                params![
                    token.id.0.as_bytes(),
                    token.name,
                    token.role.code(),
                    token.environment,
                    token.domain,
                    token.hash,
                    ms(token.created_at),
                    ms_of(token.expires_at),
                    ms_of(token.revoked_at),
                ],
            )?;
            tx.tell(&event)
        })
        .await
    }

    async fn token_by_hash(&self, hash: &[u8; 32]) -> Result<Option<Token>, StoreError> {
        let hash = *hash;
        self.read("finding a token", move |connection| {
            let find = format!("SELECT {COLUMNS} FROM token WHERE hash = ?1");
            connection.one(&find, [hash], read_token)
        })
        .await
    }

    async fn tokens(&self) -> Result<Vec<Token>, StoreError> {
        self.read("listing tokens", move |connection| {
            let list = format!("SELECT {COLUMNS} FROM token ORDER BY id DESC LIMIT ?1");
            connection.all(&list, [TOKENS], read_token)
        })
        .await
    }

    async fn note_token_uses(&self, uses: Vec<(TokenId, Timestamp)>) -> Result<(), StoreError> {
        self.write("noting uses of tokens", move |tx| {
            for (token, at) in &uses {
                let note = "UPDATE token SET last_used_at = ?2
                            WHERE id = ?1 AND (last_used_at IS NULL OR last_used_at <= ?2 - ?3)";
                tx.connection.run(note, params![token.0.as_bytes(), ms(*at), int(LAST_USE_MS)])?;
            }
            Ok(())
        })
        .await
    }

    async fn revoke_token(&self, token: TokenId, event: Event) -> Result<Option<Token>, StoreError> {
        let event = EventRow::from(event);
        self.write("taking a token back", move |tx| {
            let revoke = "UPDATE token SET revoked_at = ?2 WHERE id = ?1 AND revoked_at IS NULL";
            if tx.connection.run(revoke, params![token.0.as_bytes(), tx.now])? > 0 {
                tx.tell(&event)?;
            }
            token_by_id(tx.connection, token)
        })
        .await
    }
}

const COLUMNS: &str =
    "id, name, role, environment, domain, hash, created_at, expires_at, revoked_at, last_used_at";

fn token_by_id(connection: &Connection, token: TokenId) -> rusqlite::Result<Option<Token>> {
    let find = format!("SELECT {COLUMNS} FROM token WHERE id = ?1");
    connection.one(&find, [token.0.as_bytes()], read_token)
}

fn read_token(row: &Row<'_>) -> rusqlite::Result<Token> {
    Ok(Token {
        id: TokenId(id(row, 0)?),
        name: row.get(1)?,
        role: code(row, 2)?,
        environment: row.get(3)?,
        domain: row.get(4)?,
        hash: row.get(5)?,
        created_at: time_at(row, 6)?,
        expires_at: time_of(row, 7)?,
        last_used_at: time_of(row, 9)?,
        revoked_at: time_of(row, 8)?,
    })
}
