//! Imports: datasets that are there already come into stock together, or not at all.

use async_trait::async_trait;
use sixpack_model::ids::LineId;
use sixpack_model::name::ContractName;
use sixpack_model::plan::HeldEntity;
use sixpack_model::schema::Entity;

use crate::error::StoreError;
use crate::requests::NewRequest;

/// A dataset that is to be imported.
#[derive(Debug)]
pub struct NewImport {
    /// Where it comes to.
    pub line: LineId,
    /// A request for it alone, with its first decision.
    pub request: NewRequest,
}

/// What became of an import.
#[derive(Debug, Clone, PartialEq)]
pub enum Imported {
    /// All of it is on its way into stock.
    All,
    /// These, by their place, own something that anybody has to do with; each with the first such thing. Nothing was
    /// written.
    Held(Vec<(usize, HeldEntity)>),
}

/// How many imported datasets there are of a contract.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ImportedStock {
    /// In stock.
    pub ready: u64,
    /// On their way there.
    pub coming: u64,
}

/// Takes in datasets that nobody has to make.
#[async_trait]
pub trait Imports: Send + Sync {
    /// Accepts all of these, in one transaction with the look whether what they own is free.
    ///
    /// They come into stock when they are ready, and stay there whatever the rules for their lines say. One that is not
    /// ready is given to nobody, and when it fails its line is left as it is.
    async fn import(&self, imports: Vec<NewImport>) -> Result<Imported, StoreError>;

    /// Which of these that are to be imported own something that anybody has to do with, by their place; each with the first such thing.
    /// Nothing is written, and it may be otherwise by the time that they are imported.
    async fn held(
        &self,
        environment: &str,
        owned: Vec<Vec<Entity>>,
    ) -> Result<Vec<(usize, HeldEntity)>, StoreError>;

    /// How many imported datasets of a contract are in stock, and on their way there.
    async fn imported(&self, environment: &str, contract: &ContractName)
    -> Result<ImportedStock, StoreError>;
}
