//! Manifests: what a supplier says about itself and its capabilities when it connects.
//!
//! Everything that is wrong is told at once. What is accepted is complete: every setting that was left out has its
//! default, and the stored definition says so, so that a later change of a default changes no contract.

mod read;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::contract::{Capability, Contract, ContractBody, Owner};
use crate::fault::Fault;
use crate::fields::{Faults, Fields};
use crate::limits::FAULTS_MAX;
use crate::name::{ContractName, EnvironmentName};
use crate::schema::Schema;

use read::{CAPABILITY, read_capability, read_manifest, read_owner};

/// What a supplier says when it connects.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// Where it works.
    pub environment: EnvironmentName,
    /// Whose capabilities it performs.
    pub domain: String,
    /// Its own name, unique among the live sessions of the domain.
    pub instance: String,
    /// Whether it stands for the domain or is being developed.
    pub mode: Mode,
    /// The build it says it is.
    pub build: Option<String>,
    /// Who is responsible for the domain.
    pub owner: Owner,
    /// The SDK it speaks through; `None` when it speaks HTTP by itself.
    pub sdk: Option<Sdk>,
    /// What it can do.
    pub capabilities: Vec<CapabilityDefinition>,
    /// What is allowed but probably not meant; pointers lead into the manifest.
    pub warnings: Vec<Fault>,
}

/// How a supplier stands to the others of its domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mode {
    /// It serves everybody.
    Deployment,
    /// It serves only requests that name its channel.
    Dev {
        /// The channel.
        channel: String,
    },
}

impl Mode {
    /// The mode of whoever is in this channel, or in none.
    pub fn of_channel(channel: Option<&str>) -> &'static str {
        if channel.is_some() { "dev" } else { "deployment" }
    }

    /// The channel of a supplier that is being developed.
    pub fn channel(&self) -> Option<&str> {
        match self {
            Self::Deployment => None,
            Self::Dev { channel } => Some(channel),
        }
    }
}

/// The library that a supplier speaks through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sdk {
    /// The language: `rust`.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// One capability as its supplier defines it.
#[derive(Debug, Clone, PartialEq)]
pub struct CapabilityDefinition {
    /// The name within the domain.
    pub name: String,
    /// What the state is, for people.
    pub description: String,
    /// Who is responsible.
    pub owner: Owner,
    /// Free text by name, to search by.
    pub labels: BTreeMap<String, String>,
    /// What a consumer gives.
    pub input: Schema,
    /// What a consumer gets.
    pub output: Schema,
    /// Operations, facts and limits.
    pub capability: Capability,
}

impl Manifest {
    /// Reads a manifest, or says everything that is wrong with it.
    pub fn parse(document: &Value) -> Result<Self, Vec<Fault>> {
        let mut faults = Faults::new();
        let mut warnings = Faults::new();
        let manifest = read_manifest(document, &mut faults, &mut warnings);
        faults.truncate(FAULTS_MAX);
        warnings.truncate(FAULTS_MAX);
        match manifest {
            Some(manifest) if faults.is_empty() => Ok(Self { warnings, ..manifest }),
            _ => Err(faults),
        }
    }

    /// The same, and what is only warned of is wrong as well.
    pub fn parse_strictly(document: &Value) -> Result<Self, Vec<Fault>> {
        let manifest = Self::parse(document)?;
        if manifest.warnings.is_empty() { Ok(manifest) } else { Err(manifest.warnings) }
    }
}

impl CapabilityDefinition {
    /// The definition as it is stored: with its owner, and every setting spelled out.
    pub fn to_json(&self) -> Value {
        let Capability {
            facts,
            operations,
            reusable,
            timeout_s,
            concurrency,
            rate,
            fresh_for_s,
            stale_for_s,
            settle_s,
            retry,
        } = &self.capability;
        let mut stored = json!({
            "name": self.name,
            "description": self.description,
            "owner": owner_json(&self.owner),
            "labels": self.labels,
            "input": self.input.document(),
            "output": self.output.document(),
            "operations": operations.names(),
            "reusable": reusable,
            "timeout_s": timeout_s,
            "fresh_for_s": fresh_for_s,
            "stale_for_s": stale_for_s,
            "settle_s": settle_s,
            "retry": {
                "max_attempts": retry.max_attempts,
                "first_delay_ms": retry.first_delay_ms,
                "max_delay_ms": retry.max_delay_ms,
            },
        });
        let mut set = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                stored[name] = value;
            }
        };
        set("facts", facts.as_ref().map(|facts| facts.document().clone()));
        set("concurrency", concurrency.map(Value::from));
        set("rate", rate.map(|rate| json!({"per_s": rate.per_s})));
        stored
    }

    /// Reads what [`Self::to_json`] wrote.
    pub fn from_json(stored: &Value) -> Result<Self, Vec<Fault>> {
        let mut faults = Faults::new();
        let known: Vec<&str> = CAPABILITY.iter().copied().chain(["owner"]).collect();
        let definition = Fields::open(stored, "", &known, &mut faults).and_then(|fields| {
            let owner = fields.required("owner", &mut faults);
            let owner = owner.and_then(|owner| read_owner(owner, "/owner", &mut faults))?;
            read_capability(&fields, &owner, &mut faults, &mut Faults::new())
        });
        match definition {
            Some(definition) if faults.is_empty() => Ok(definition),
            _ => Err(faults),
        }
    }

    /// The contract that the catalogue lists for it.
    pub fn into_contract(self, domain: &str, version: u32) -> Result<Contract, Vec<Fault>> {
        let name = ContractName::new(domain, &self.name)
            .map_err(|error| vec![Fault::new("/name", "name_pattern", error.to_string())])?;
        Ok(Contract {
            name,
            version,
            description: self.description,
            owner: self.owner,
            labels: self.labels,
            input: self.input,
            output: self.output,
            body: ContractBody::Capability(self.capability),
        })
    }
}

impl Contract {
    /// The contract of a capability from its stored definition.
    pub fn from_definition(domain: &str, stored: &Value, version: u32) -> Result<Self, Vec<Fault>> {
        CapabilityDefinition::from_json(stored)?.into_contract(domain, version)
    }
}

/// An owner as it stands in a manifest and in the store; what is absent is left out.
pub fn owner_json(owner: &Owner) -> Value {
    let mut stored = json!({"team": owner.team});
    for (name, value) in [("contact", &owner.contact), ("issues", &owner.issues)] {
        if let Some(value) = value {
            stored[name] = Value::from(value.as_str());
        }
    }
    stored
}

#[cfg(test)]
mod tests;
