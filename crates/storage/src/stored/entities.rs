//! Entities that a tree owns, as they are stored with it.

use sixpack_model::schema::Entity;

/// An entity with the part that has made it: part, kind, key.
pub(crate) type Owned = (u32, String, String);

pub(crate) fn owned(entities: Vec<(u32, Entity)>) -> Vec<Owned> {
    entities.into_iter().map(|(part, entity)| (part, entity.kind, entity.key)).collect()
}

/// What a tree owns, as it is stored; `None` for nothing.
pub(crate) fn owns_text(owns: &[Owned]) -> Option<String> {
    let text = || serde_json::to_string(owns).expect("numbers and text are always JSON");
    (!owns.is_empty()).then(text)
}
