//! Cursors: where the next page begins, sealed so that only this installation's own ones are followed.
//!
//! A cursor is `version, position, seal` in base64url. The seal is a keyed hash over the endpoint, the filter and
//! the position: a cursor of another endpoint, filter or user, or a changed one, does not open. The position can be
//! read by who decodes it, so it must hold nothing that the page did not show.

use data_encoding::BASE64URL_NOPAD;

use super::problem::Problem;

/// First byte of every cursor; another release with another form takes another number.
const VERSION: u8 = 1;

/// Longest cursor that is looked at: positions are a few keys.
const CURSOR_MAX_BYTES: usize = 2_048;

const KEY_CONTEXT: &str = "sixpack 2026 page cursors";

/// Seals and opens cursors. All replicas of an installation need the same secret.
#[derive(Clone)]
pub struct CursorSeal {
    key: [u8; blake3::KEY_LEN],
}

/// What a cursor is good for.
#[derive(Debug, Clone, Copy)]
pub struct CursorScope<'a> {
    /// The route, such as `GET /v1/datasets`.
    pub endpoint: &'a str,
    /// Everything that selects rows, in one canonical form: filters, environment, the asker where it matters.
    pub filter: &'a str,
}

impl CursorSeal {
    /// A seal with a key derived from the installation's secret.
    pub fn new(secret: &[u8]) -> Self {
        Self { key: blake3::derive_key(KEY_CONTEXT, secret) }
    }

    /// The cursor for a position.
    pub fn seal(&self, scope: CursorScope<'_>, position: &[u8]) -> String {
        let mut cursor = Vec::with_capacity(1 + position.len() + blake3::OUT_LEN);
        cursor.push(VERSION);
        cursor.extend_from_slice(position);
        cursor.extend_from_slice(self.mac(scope, position).as_bytes());
        BASE64URL_NOPAD.encode(&cursor)
    }

    /// The position of a cursor.
    ///
    /// # Errors
    /// 400 `bad_cursor` for everything that this seal did not make for this scope.
    pub fn open(&self, scope: CursorScope<'_>, cursor: &str) -> Result<Vec<u8>, Problem> {
        self.opened(scope, cursor).ok_or_else(|| {
            let detail = "The cursor is not one of this list; ask for the first page without a cursor.";
            Problem::unreadable("bad_cursor", detail)
        })
    }

    fn opened(&self, scope: CursorScope<'_>, cursor: &str) -> Option<Vec<u8>> {
        if cursor.len() > CURSOR_MAX_BYTES {
            return None;
        }
        let bytes = BASE64URL_NOPAD.decode(cursor.as_bytes()).ok()?;
        let (position, seal) = bytes.strip_prefix(&[VERSION])?.split_last_chunk::<{ blake3::OUT_LEN }>()?;
        // The comparison of hashes takes the same time wherever they differ.
        (self.mac(scope, position) == *seal).then(|| position.to_vec())
    }

    fn mac(&self, scope: CursorScope<'_>, position: &[u8]) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        for part in [&[VERSION], scope.endpoint.as_bytes(), scope.filter.as_bytes(), position] {
            // The length before each part keeps two different splits from hashing alike.
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        hasher.finalize()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCOPE: CursorScope<'_> = CursorScope { endpoint: "GET /v1/datasets", filter: "entity=customer:42" };

    #[test]
    fn a_cursor_opens_where_it_was_sealed() {
        let seal = CursorSeal::new(b"secret");
        let cursor = seal.seal(SCOPE, b"key-7");
        assert_eq!(seal.open(SCOPE, &cursor).unwrap(), b"key-7");
        assert_eq!(seal.open(SCOPE, &seal.seal(SCOPE, b"")).unwrap(), b"");
    }

    #[test]
    fn every_other_cursor_is_refused() {
        let seal = CursorSeal::new(b"secret");
        let cursor = seal.seal(SCOPE, b"key-7");
        let shifted = CursorScope { endpoint: "GET /v1/datasetsentity", filter: "=customer:42" };
        let elsewhere = CursorScope { endpoint: "GET /v1/leases", ..SCOPE };
        let filtered = CursorScope { filter: "entity=customer:43", ..SCOPE };
        for scope in [shifted, elsewhere, filtered] {
            assert_eq!(seal.open(scope, &cursor).unwrap_err().code(), "bad_cursor");
        }
        assert!(CursorSeal::new(b"other").open(SCOPE, &cursor).is_err());
        let mut bytes = BASE64URL_NOPAD.decode(cursor.as_bytes()).unwrap();
        for at in 0..bytes.len() {
            bytes[at] ^= 1;
            assert!(seal.open(SCOPE, &BASE64URL_NOPAD.encode(&bytes)).is_err(), "byte {at}");
            bytes[at] ^= 1;
        }
        for broken in ["", "!", "AQ", &cursor[1..], &cursor[..cursor.len() - 1], &"A".repeat(10_240)] {
            assert!(seal.open(SCOPE, broken).is_err(), "{broken:.20}");
        }
    }
}
