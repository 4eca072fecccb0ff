//! Importing: rows that say what a service has already are held against the contract and each other before any is taken.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

use crate::contract::Contract;
use crate::fault::Fault;
use crate::limits::FAULTS_MAX;
use crate::schema::Entity;
use crate::text::excerpt;

/// One dataset that is there: what it would have been made from, and what making it would have answered.
#[derive(Debug, Clone, PartialEq)]
pub struct ImportedRow {
    /// Defaults filled in once it is accepted.
    pub input: Arc<Value>,
    /// What is there.
    pub output: Arc<Value>,
}

/// What is wrong with rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RowFaults {
    /// The first of them, in the order of the rows; pointers lead to `/rows/…`.
    pub faults: Vec<Fault>,
    /// How many there are.
    pub total: usize,
    /// In how many rows.
    pub rows: usize,
}

impl RowFaults {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// Adds what is wrong with one row; pointers lead into the row.
    pub fn add(&mut self, row: usize, faults: Vec<Fault>) {
        self.total += faults.len();
        self.rows += usize::from(!faults.is_empty());
        let room = FAULTS_MAX.saturating_sub(self.faults.len());
        self.faults.extend(faults.into_iter().take(room).map(|fault| fault.under(&format!("/rows/{row}"))));
    }
}

/// Why nothing of a contract can be imported; `None` when it can.
pub fn why_not_importable(contract: &Contract) -> Option<String> {
    let name = &contract.name;
    if contract.capability().is_none() {
        return Some(format!(
            "{name} is a scenario, and what its steps have made is theirs: import datasets of its capabilities"
        ));
    }
    contract.output.entity_kinds().is_empty().then(|| {
        format!(
            "the output of {name} marks nothing with `x-entity`, so that two holders could be given the same: its supplier \
             has to mark the property that holds the key"
        )
    })
}

/// Rows as they were found: those that are sound, with what they own, and what is wrong with the others.
#[derive(Debug, Default)]
pub struct CheckedRows {
    /// In their order, by their place; defaults of their inputs are filled in.
    pub sound: Vec<(usize, ImportedRow)>,
    /// What each of them owns once it is imported.
    pub owned: Vec<Vec<Entity>>,
    /// What is wrong, by the place of the row; pointers lead into the row.
    pub wrong: Vec<(usize, Vec<Fault>)>,
}

impl CheckedRows {
    /// What is wrong, with what else is known to be, by the place of the row.
    pub fn faults_with(self, more: Vec<(usize, Fault)>) -> RowFaults {
        let mut all = self.wrong;
        all.extend(more.into_iter().map(|(row, fault)| (row, vec![fault])));
        all.sort_by_key(|(row, _)| *row);
        let mut found = RowFaults::default();
        for (row, faults) in all {
            found.add(row, faults);
        }
        found
    }
}

/// Holds rows against the contract and against each other; fills in the defaults of their inputs.
pub fn check_rows(contract: &Contract, rows: Vec<ImportedRow>) -> CheckedRows {
    let mut checked = CheckedRows::default();
    let mut owners: HashMap<Entity, usize> = HashMap::new();
    for (number, row) in rows.into_iter().enumerate() {
        let input = contract.input.with_defaults(Arc::unwrap_or_clone(row.input));
        let mut faults: Vec<Fault> = Vec::new();
        faults.extend(contract.input.validate(&input).into_iter().map(|fault| fault.under("/input")));
        let of_output = contract.output.validate(&row.output);
        let owned = if of_output.is_empty() { owned(contract, (&input, &row.output)) } else { Vec::new() };
        if of_output.is_empty() {
            faults.extend(owned_twice(&owned, number, &mut owners));
        }
        faults.extend(of_output.into_iter().map(|fault| fault.under("/output")));
        if faults.is_empty() {
            checked.sound.push((number, ImportedRow { input: Arc::new(input), output: row.output }));
            checked.owned.push(owned);
        } else {
            checked.wrong.push((number, faults));
        }
    }
    checked
}

/// What a row names, and its input does not.
fn owned(contract: &Contract, (input, output): (&Value, &Value)) -> Vec<Entity> {
    let given = contract.input.entities(input);
    let mut owned = contract.output.entities(output);
    owned.retain(|entity| !given.contains(entity));
    owned
}

/// What keeps a row from having an owner of its own.
fn owned_twice(owned: &[Entity], row: usize, owners: &mut HashMap<Entity, usize>) -> Option<Fault> {
    if owned.is_empty() {
        let message = "names nothing of its own (`x-entity`): what the input names belongs to whoever asks";
        return Some(Fault::new("/output", "no_entity", message));
    }
    let mut twice = None;
    for entity in owned {
        let shown = format!("{}:{}", entity.kind, entity.key);
        match owners.insert(entity.clone(), row) {
            Some(first) if first != row => {
                owners.insert(entity.clone(), first);
                let message = format!(
                    "`{}` is in `/rows/{first}` already; each belongs to one dataset",
                    excerpt(&shown)
                );
                twice.get_or_insert(Fault::new("/output", "duplicate_entity", message));
            }
            Some(_) | None => {}
        }
    }
    twice
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::manifest::CapabilityDefinition;

    fn contract(output: Value) -> Contract {
        let definition = json!({
            "name": "account", "description": "", "owner": { "team": "Billing" }, "labels": {},
            "input": {
                "type": "object",
                "properties": {
                    "of": { "type": "string", "x-entity": "customer" },
                    "country": { "type": "string", "enum": ["FR", "CZ"], "default": "FR" },
                },
                "required": ["of"],
            },
            "output": output,
        });
        CapabilityDefinition::from_json(&definition).unwrap().into_contract("billing", 1).unwrap()
    }

    fn account() -> Contract {
        contract(json!({
            "type": "object",
            "properties": {
                "id": { "type": "string", "x-entity": "account" },
                "of": { "type": "string", "x-entity": "customer" },
            },
            "required": ["of"],
        }))
    }

    fn row(input: Value, output: Value) -> ImportedRow {
        ImportedRow { input: Arc::new(input), output: Arc::new(output) }
    }

    #[test]
    fn sound_rows_come_back_with_their_defaults() {
        let rows = vec![row(json!({ "of": "c-1" }), json!({ "id": "a-1", "of": "c-1" }))];
        let checked = check_rows(&account(), rows);
        assert!(checked.wrong.is_empty());
        assert_eq!(checked.owned[0], [Entity { kind: "account".to_owned(), key: "a-1".to_owned() }]);
        assert_eq!(*checked.sound[0].1.input, json!({ "of": "c-1", "country": "FR" }));
    }

    #[test]
    fn every_fault_of_every_row_is_told_with_its_place() {
        let rows = vec![
            row(json!({ "of": "c-1" }), json!({ "id": "a-1", "of": "c-1" })),
            row(json!({ "of": 7, "country": "XX" }), json!({ "id": 7 })),
            row(json!({ "of": "c-2" }), json!({ "of": "c-2" })),
            row(json!({ "of": "c-3" }), json!({ "id": "a-1", "of": "c-3" })),
            row(json!({ "of": "c-4" }), json!({ "id": "a-4", "of": "c-9" })),
            row(json!({ "of": "c-5" }), json!({ "id": "a-5", "of": "c-9" })),
        ];
        let checked = check_rows(&account(), rows);
        assert_eq!(checked.sound.iter().map(|(row, _)| *row).collect::<Vec<_>>(), [0, 4]);
        let found = checked.faults_with(vec![(0, Fault::new("/output", "entity_held", "is held"))]);
        let told: Vec<(&str, &str)> =
            found.faults.iter().map(|fault| (fault.pointer.as_str(), fault.code)).collect();
        assert_eq!((found.total, found.rows), (told.len(), 5), "{told:?}");
        assert_eq!(told[0], ("/rows/0/output", "entity_held"), "they are in the order of the rows: {told:?}");
        for (pointer, code) in [
            ("/rows/1/input/of", "type"),
            ("/rows/1/input/country", "enum"),
            ("/rows/1/output/id", "type"),
            ("/rows/1/output/of", "required"),
            ("/rows/2/output", "no_entity"),
            ("/rows/3/output", "duplicate_entity"),
            ("/rows/5/output", "duplicate_entity"),
        ] {
            assert!(told.contains(&(pointer, code)), "{pointer} {code} in {told:?}");
        }
        assert!(found.faults.iter().any(|fault| fault.message.contains("is in `/rows/0` already")));
    }

    #[test]
    fn only_so_many_faults_are_told_and_all_are_counted() {
        let rows = (0..100).map(|_| row(json!({ "of": "c-1" }), json!({ "id": 7, "of": "c-1" }))).collect();
        let found = check_rows(&account(), rows).faults_with(Vec::new());
        assert_eq!((found.faults.len(), found.total, found.rows), (FAULTS_MAX, 100, 100));
    }

    #[test]
    fn what_has_no_key_cannot_be_imported() {
        assert_eq!(why_not_importable(&account()), None);
        let keyless = contract(json!({ "type": "object" }));
        assert!(why_not_importable(&keyless).unwrap().contains("x-entity"));
    }
}
