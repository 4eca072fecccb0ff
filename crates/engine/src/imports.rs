//! Imports: datasets that a service has already are registered together, and checked before anybody can take them.

use std::collections::HashMap;
use std::sync::Arc;

use futures::future::try_join_all;
use jiff::Timestamp;
use sixpack_model::contract::Contract;
use sixpack_model::fault::Fault;
use sixpack_model::ids::{DatasetId, LineId};
use sixpack_model::import::{CheckedRows, ImportedRow, RowFaults, check_rows, why_not_importable};
use sixpack_model::name::ContractName;
use sixpack_model::plan::{Change, HeldEntity};
use sixpack_model::request::{Priority, Selection, Source};
use sixpack_model::schema::canonical_json;
use sixpack_model::stock::{Keeping, Line};
use sixpack_model::text::excerpt;
use sixpack_storage::imports::{Imported, NewImport};
use sixpack_storage::wakeups::Wakeup;

use crate::Engine;
use crate::caller::Caller;
use crate::refusal::Refusal;
use crate::requests::{Asked, new_import};
use crate::shelf::Shelf;
use crate::stock::KnownLine;

/// How long the checks of an import may take: a slow service with a low rate has a day for a thousand of them.
const TIMEOUT_MS: u64 = 86_400_000;

/// How long what is leased from an import itself would last; nothing ever is.
const NO_TTL_MS: u64 = 0;

/// Datasets that are to be imported.
#[derive(Debug, Clone)]
pub struct Import {
    /// Where they are.
    pub environment: String,
    /// What they are instances of.
    pub contract: ContractName,
    /// Each of them.
    pub rows: Vec<ImportedRow>,
}

/// What was imported.
#[derive(Debug, Clone)]
pub struct ImportView {
    /// What they are instances of.
    pub contract: ContractName,
    /// In which version.
    pub version: u32,
    /// In the order of the rows.
    pub datasets: Vec<DatasetId>,
}

impl Engine {
    /// Imports all of these, or none.
    ///
    /// Allowed to administrators, and to whoever supplies the domain of the contract.
    pub async fn import(&self, caller: &Caller, import: Import) -> Result<ImportView, Refusal> {
        let environment = import.environment.clone();
        let (shelf, contract, rows) = self.accept_rows(caller, import).await?;
        self.can_be_checked(&environment, &shelf, &contract).await?;
        let lines = self.lines_of(&environment, &contract, &rows).await?;
        let now = self.store().now().await?;
        let imports = new_imports(caller, &environment, (&shelf, &contract), (rows, &lines), now);
        let datasets =
            imports.iter().flat_map(|import| &import.request.trees).map(|change| change.tree.id.root());
        let view = ImportView {
            contract: contract.name.clone(),
            version: contract.version,
            datasets: datasets.collect(),
        };
        let engine = self.clone();
        // Detached, like every write that offers tasks.
        let importing = tokio::spawn(async move { engine.import_here(imports).await });
        match importing.await.map_err(|_| Refusal::Busy)?? {
            Imported::Held(held) => Err(Refusal::Rows(held_rows(held))),
            Imported::All => {
                let known = |line: &Line| KnownLine::new(&environment, line.clone(), &Keeping::default());
                self.inner.stock.learn(lines.values().map(known));
                self.inner.stock.tend_all();
                self.store().tell(Wakeup::Lines);
                Ok(view)
            }
        }
    }

    /// Says what [`import`](Self::import) would say, and imports nothing: no dataset is in what it returns.
    pub async fn check_import(&self, caller: &Caller, import: Import) -> Result<ImportView, Refusal> {
        let environment = import.environment.clone();
        let (shelf, contract, _) = self.accept_rows(caller, import).await?;
        self.can_be_checked(&environment, &shelf, &contract).await?;
        let (contract, version) = (contract.name.clone(), contract.version);
        Ok(ImportView { contract, version, datasets: Vec::new() })
    }

    /// Holds rows against the contract, each other, and what datasets have already: all faults at once.
    async fn accept_rows(
        &self,
        caller: &Caller,
        import: Import,
    ) -> Result<(Arc<Shelf>, Arc<Contract>, Vec<ImportedRow>), Refusal> {
        let Import { environment, contract, rows } = import;
        let (shelf, _) = self.visible_shelf_in(caller, &environment, None).await?;
        let contract = shelf.requestable(&contract)?;
        if !caller.supplies(contract.name.domain()) {
            return Err(Refusal::unknown("domain", contract.name.domain()));
        }
        if let Some(message) = why_not_importable(&contract) {
            return Err(Refusal::Invalid(vec![Fault::new("/contract", "not_importable", message)]));
        }
        let mut checked = check_rows(&contract, rows);
        let held = self.store().held(&environment, std::mem::take(&mut checked.owned)).await?;
        if checked.wrong.is_empty() && held.is_empty() {
            return Ok((shelf, contract, checked.sound.into_iter().map(|(_, row)| row).collect()));
        }
        let held: Vec<_> =
            held.into_iter().map(|(place, held)| (checked.sound[place].0, fault_of(&held))).collect();
        Err(Refusal::Rows(checked.faults_with(held)))
    }

    /// What nobody can be asked about would fail after a while: it is refused before it is taken.
    async fn can_be_checked(
        &self,
        environment: &str,
        shelf: &Shelf,
        contract: &Arc<Contract>,
    ) -> Result<(), Refusal> {
        let is_checked = contract.capability().is_some_and(|capability| capability.operations.check);
        let unserved = match is_checked {
            true => self.first_unserved(environment, shelf, contract).await?,
            false => None,
        };
        unserved.map_or(Ok(()), |leaf| Err(Refusal::Unserved { contract: leaf.name.to_string() }))
    }

    /// The line of every input, by how it is compared.
    async fn lines_of(
        &self,
        environment: &str,
        contract: &Contract,
        rows: &[ImportedRow],
    ) -> Result<HashMap<String, Line>, Refusal> {
        let inputs: HashMap<String, _> =
            rows.iter().map(|row| (canonical_json(&row.input), Arc::clone(&row.input))).collect();
        let lines = inputs.into_iter().map(|(canonical, input)| async move {
            let id: LineId = self.store().line(environment, &contract.name, &input).await?;
            Ok::<_, Refusal>((canonical, Line { id, contract: contract.name.clone(), input }))
        });
        Ok(try_join_all(lines).await?.into_iter().collect())
    }

    async fn import_here(&self, imports: Vec<NewImport>) -> Result<Imported, Refusal> {
        let changes: Vec<Change> =
            imports.iter().flat_map(|import| import.request.trees.iter().cloned()).collect();
        let offers = self.offers(&changes);
        changes.iter().for_each(|change| self.inner.trees.expect(&change.tree));
        let (imported, offered) = self.commit_with_offers(self.store().import(imports), offers).await;
        if matches!(imported, Ok(Imported::All)) {
            let open = changes.iter().filter(|change| change.outcome.is_none());
            open.for_each(|change| self.inner.trees.keep(&change.tree));
        }
        changes.iter().for_each(|change| self.inner.trees.expect_no_more(change.tree.id));
        self.beat();
        self.hand_out(offered).await;
        Ok(imported?)
    }
}

fn new_imports(
    caller: &Caller,
    environment: &str,
    (shelf, contract): (&Shelf, &Arc<Contract>),
    (rows, lines): (Vec<ImportedRow>, &HashMap<String, Line>),
    now: Timestamp,
) -> Vec<NewImport> {
    let new = |row: ImportedRow| {
        let line = lines[&canonical_json(&row.input)].id;
        let asked = Asked {
            environment,
            stock: None,
            source: Source::Fresh,
            selection: Selection::default(),
            refills: None,
            again: None,
            listed: false,
            ttl_ms: NO_TTL_MS,
            holder: format!("import by {}", caller.name),
            token: caller.token,
            priority: Priority::Stock,
            channel: None,
            timeout_ms: TIMEOUT_MS,
        };
        let unit = (Arc::clone(contract), row.input);
        NewImport { line, request: new_import(asked, unit, row.output, (shelf, line), now) }
    };
    rows.into_iter().map(new).collect()
}

/// Rows that own what anybody has to do with already.
fn held_rows(held: Vec<(usize, HeldEntity)>) -> RowFaults {
    let held = held.into_iter().map(|(row, held)| (row, fault_of(&held))).collect();
    CheckedRows::default().faults_with(held)
}

fn fault_of(held: &HeldEntity) -> Fault {
    let shown = format!("{}:{}", held.entity.kind, held.entity.key);
    let (owner, _) = held.by.tell();
    Fault::new("/output", "entity_held", format!("`{}` belongs to {owner} already", excerpt(&shown)))
}
