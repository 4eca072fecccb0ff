//! Values: written down before their statement is sent, so that nothing is borrowed while it is under way.

use std::error::Error;

use bytes::{BufMut, BytesMut};
use tokio_postgres::types::{IsNull, ToSql, Type};

use super::faults::Fault;
use super::statements::Params;

/// A value as it is sent; `None` for NULL.
#[derive(Debug)]
pub(super) struct Encoded(Option<BytesMut>);

impl Encoded {
    /// The values of a statement, in the types that it has for them.
    pub(super) fn all(types: &[Type], params: Params<'_>) -> Result<Vec<Self>, Fault> {
        if types.len() != params.len() {
            return Err(Fault::Wrong(format!("{} values for {} places", params.len(), types.len())));
        }
        params
            .iter()
            .zip(types)
            .map(|(value, kind)| {
                let mut bytes = BytesMut::new();
                let written = value
                    .to_sql_checked(kind, &mut bytes)
                    .map_err(|cause| Fault::Wrong(format!("a value cannot be sent as {kind}: {cause}")))?;
                Ok(Self(matches!(written, IsNull::No).then_some(bytes)))
            })
            .collect()
    }
}

impl ToSql for Encoded {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        let Some(bytes) = &self.0 else { return Ok(IsNull::Yes) };
        out.put_slice(bytes);
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn to_sql_checked(
        &self,
        kind: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        self.to_sql(kind, out)
    }
}
