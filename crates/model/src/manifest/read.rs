//! Reads manifests and stored definitions field by field.

use std::collections::{BTreeMap, HashSet};

use serde_json::Value;

use crate::contract::{Capability, Operations, Owner, Rate, RetryPolicy};
use crate::fault::{Fault, join};
use crate::fields::{Faults, Fields, keep, word};
use crate::limits::{
    ATTEMPTS, CONCURRENCY, DESCRIPTION_BYTES, FAULTS_MAX, FRESH_FOR_S, LABEL_BYTES, LABELS, LINE_BYTES,
    LINK_BYTES, MANIFEST_CAPABILITIES, RATE_MAX_PER_S, RATE_MIN_PER_S, RETRY_DELAY_MS, SETTLE_S, STALE_FOR_S,
    TIMEOUT_S,
};
use crate::name::segment;
use crate::protocol::PROTOCOLS;
use crate::text::line;

use super::{CapabilityDefinition, Manifest, Mode, Sdk};

/// How long evidence counts as fresh when nobody says: a few minutes of a test run.
const FRESH_FOR_DEFAULT_S: u64 = 300;

/// A service may be away for an hour before testers notice.
const STALE_FOR_DEFAULT_S: u64 = 3_600;

/// How long services may take to agree when nobody says: the usual lag of events, several times over.
const SETTLE_DEFAULT_S: u64 = 30;

/// How long one attempt may take when nobody says.
const TIMEOUT_DEFAULT_S: u64 = 60;

const MANIFEST: [&str; 10] = [
    "protocol",
    "environment",
    "domain",
    "instance",
    "mode",
    "channel",
    "build",
    "owner",
    "sdk",
    "capabilities",
];

pub(super) const CAPABILITY: [&str; 15] = [
    "name",
    "description",
    "input",
    "output",
    "facts",
    "operations",
    "reusable",
    "timeout_s",
    "concurrency",
    "rate",
    "fresh_for_s",
    "stale_for_s",
    "settle_s",
    "retry",
    "labels",
];

pub(super) fn read_manifest(
    document: &Value,
    faults: &mut Faults,
    warnings: &mut Faults,
) -> Option<Manifest> {
    let fields = Fields::open(document, "", &MANIFEST, faults)?;
    let spoken = u64::from(*PROTOCOLS.start())..=u64::from(*PROTOCOLS.end());
    fields.integer("protocol", spoken, faults);
    for name in ["environment", "domain", "instance"] {
        fields.required(name, faults);
    }
    let environment = fields.segment("environment", "the name of an environment", faults);
    let domain = fields.segment("domain", "a domain", faults);
    let instance = fields.segment("instance", "the name of an instance", faults);
    let mode = read_mode(&fields, faults);
    let build = fields.line("build", LINE_BYTES, faults);
    let owner = fields.required("owner", faults).and_then(|owner| read_owner(owner, "/owner", faults));
    if owner.as_ref().is_some_and(|owner| owner.contact.is_none() && owner.issues.is_none()) {
        let message =
            "has neither \"contact\" nor \"issues\": nobody will know whom to ask when something fails";
        warnings.push(Fault::new("/owner", "no_contact", message));
    }
    let sdk = fields.optional("sdk").and_then(|sdk| read_sdk(sdk, faults));
    // A definition without a sound owner is refused anyway; the rest of it is still looked at.
    let stand_in = Owner { team: String::new(), contact: None, issues: None };
    let capabilities = fields.required("capabilities", faults);
    let capabilities = capabilities
        .map(|list| read_capabilities(list, owner.as_ref().unwrap_or(&stand_in), faults, warnings))?;
    Some(Manifest {
        environment: environment?.parse().ok()?,
        domain: domain?,
        instance: instance?,
        mode: mode?,
        build,
        owner: owner?,
        sdk,
        capabilities,
        warnings: Vec::new(),
    })
}

fn read_mode(fields: &Fields<'_>, faults: &mut Faults) -> Option<Mode> {
    let mode = match fields.optional("mode") {
        Some(_) => fields.word("mode", &["deployment", "dev"], faults)?,
        None => "deployment",
    };
    if mode == "dev" {
        fields.required("channel", faults);
        return fields
            .segment("channel", "the name of a channel", faults)
            .map(|channel| Mode::Dev { channel });
    }
    if fields.optional("channel").is_some() {
        let message = "is only for the mode \"dev\"; leave it out, or set \"mode\" to \"dev\"";
        faults.push(Fault::new("/channel", "not_allowed", message));
    }
    Some(Mode::Deployment)
}

pub(super) fn read_owner(owner: &Value, pointer: &str, faults: &mut Faults) -> Option<Owner> {
    let fields = Fields::open(owner, pointer, &["team", "contact", "issues"], faults)?;
    fields.required("team", faults);
    let team = fields.line("team", LINE_BYTES, faults);
    let contact = fields.line("contact", LINE_BYTES, faults);
    let issues = fields.link("issues", LINK_BYTES, faults);
    Some(Owner { team: team?, contact, issues })
}

fn read_sdk(sdk: &Value, faults: &mut Faults) -> Option<Sdk> {
    let fields = Fields::open(sdk, "/sdk", &["name", "version"], faults)?;
    for name in ["name", "version"] {
        fields.required(name, faults);
    }
    let name = fields.line("name", LINE_BYTES, faults);
    let version = fields.line("version", LINE_BYTES, faults);
    Some(Sdk { name: name?, version: version? })
}

fn read_capabilities(
    list: &Value,
    owner: &Owner,
    faults: &mut Faults,
    warnings: &mut Faults,
) -> Vec<CapabilityDefinition> {
    let at = "/capabilities";
    let Value::Array(list) = list else {
        faults.push(Fault::new(at, "type", "is not a list"));
        return Vec::new();
    };
    if list.is_empty() || list.len() > MANIFEST_CAPABILITIES {
        let message = format!("has {} entries; from 1 to {MANIFEST_CAPABILITIES} are allowed", list.len());
        faults.push(Fault::new(at, "limit", message));
        return Vec::new();
    }
    let mut names = HashSet::new();
    let mut definitions = Vec::with_capacity(list.len());
    for (index, entry) in list.iter().enumerate() {
        // Each schema costs some work: a manifest that is refused anyway is not read to its end.
        if faults.len() >= FAULTS_MAX {
            break;
        }
        let pointer = format!("{at}/{index}");
        if let Some(name) = entry.get("name").and_then(Value::as_str)
            && !names.insert(name)
        {
            let message = "is the name of an earlier capability as well; each name may occur once";
            faults.push(Fault::new(join(&pointer, "name"), "duplicate_capability", message));
        }
        let fields = Fields::open(entry, &pointer, &CAPABILITY, faults);
        let definition = fields.and_then(|fields| read_capability(&fields, owner, faults, warnings));
        faults.extend(definition.as_ref().and_then(|definition| unowned(definition, &pointer)));
        definitions.extend(definition);
    }
    definitions
}

pub(super) fn read_capability(
    fields: &Fields<'_>,
    owner: &Owner,
    faults: &mut Faults,
    warnings: &mut Faults,
) -> Option<CapabilityDefinition> {
    for name in ["name", "input", "output"] {
        fields.required(name, faults);
    }
    let name = fields.segment("name", "the name of a capability", faults);
    let description = fields.prose("description", DESCRIPTION_BYTES, faults);
    if description.is_empty() && fields.optional("description").is_none() {
        let message = "is missing: testers will not know what state this is";
        warnings.push(Fault::new(fields.at("description"), "no_description", message));
    }
    let labels = read_labels(fields, faults);
    let input = fields.schema("input", faults, warnings);
    let output = fields.schema("output", faults, warnings);
    let capability = Capability {
        facts: fields.schema("facts", faults, warnings),
        operations: read_operations(fields, faults),
        reusable: fields.boolean("reusable", faults).unwrap_or(false),
        timeout_s: small(fields.integer("timeout_s", 1..=TIMEOUT_S, faults).unwrap_or(TIMEOUT_DEFAULT_S)),
        concurrency: fields.integer("concurrency", 1..=CONCURRENCY, faults).map(small),
        rate: fields.optional("rate").and_then(|rate| read_rate(rate, &fields.at("rate"), faults)),
        fresh_for_s: small(
            fields.integer("fresh_for_s", 0..=FRESH_FOR_S, faults).unwrap_or(FRESH_FOR_DEFAULT_S),
        ),
        stale_for_s: small(
            fields.integer("stale_for_s", 0..=STALE_FOR_S, faults).unwrap_or(STALE_FOR_DEFAULT_S),
        ),
        settle_s: small(fields.integer("settle_s", 0..=SETTLE_S, faults).unwrap_or(SETTLE_DEFAULT_S)),
        retry: fields.optional("retry").map_or_else(RetryPolicy::default, |retry| {
            read_retry(retry, &fields.at("retry"), faults).unwrap_or_default()
        }),
    };
    let owner = owner.clone();
    Some(CapabilityDefinition {
        name: name?,
        description,
        owner,
        labels,
        input: input?,
        output: output?,
        capability,
    })
}

/// What is found must have a key, or it could be handed to two holders at once.
fn unowned(definition: &CapabilityDefinition, pointer: &str) -> Option<Fault> {
    let keyless = definition.capability.operations.find && definition.output.entity_kinds().is_empty();
    let message = "marks nothing with \"x-entity\", and the capability offers \"find\": mark the property that holds the \
                   key of what is found, such as \"x-entity\": \"customer\", or two holders could be given the same; or \
                   leave \"find\" out of \"operations\"";
    keyless.then(|| Fault::new(join(pointer, "output"), "no_entity", message))
}

fn read_labels(fields: &Fields<'_>, faults: &mut Faults) -> BTreeMap<String, String> {
    let pointer = fields.at("labels");
    let members = match fields.optional("labels") {
        None => return BTreeMap::new(),
        Some(Value::Object(members)) if members.len() <= LABELS => members,
        Some(Value::Object(members)) => {
            let message = format!("has {} labels; at most {LABELS} are allowed", members.len());
            faults.push(Fault::new(pointer, "limit", message));
            return BTreeMap::new();
        }
        Some(_) => {
            faults.push(Fault::new(pointer, "type", "is not an object"));
            return BTreeMap::new();
        }
    };
    let mut labels = BTreeMap::new();
    for (key, value) in members {
        let at = join(&pointer, key);
        if let Err(error) = segment("the name of a label", key) {
            faults.push(Fault::new(at, "name_pattern", error.to_string()));
        } else if let Some(text) = value.as_str() {
            labels.extend(keep(line(&at, text, LABEL_BYTES), faults).map(|text| (key.clone(), text)));
        } else {
            faults.push(Fault::new(at, "type", "is not a string"));
        }
    }
    labels
}

const OPERATIONS: [&str; 4] = ["produce", "check", "undo", "find"];

fn read_operations(fields: &Fields<'_>, faults: &mut Faults) -> Operations {
    let mut operations = Operations { produce: true, check: false, undo: false, find: false };
    let pointer = fields.at("operations");
    let Some(list) = fields.optional("operations") else { return operations };
    let Value::Array(list) = list else {
        faults.push(Fault::new(pointer, "type", "is not a list"));
        return operations;
    };
    operations.produce = false;
    for (index, entry) in list.iter().take(FAULTS_MAX).enumerate() {
        let at = format!("{pointer}/{index}");
        let Some(text) = entry.as_str() else {
            faults.push(Fault::new(at, "type", "is not a string"));
            continue;
        };
        let offered = match word(text, &at, &OPERATIONS, faults) {
            Some("produce") => &mut operations.produce,
            Some("check") => &mut operations.check,
            Some("undo") => &mut operations.undo,
            Some("find") => &mut operations.find,
            _ => continue,
        };
        if std::mem::replace(offered, true) {
            faults.push(Fault::new(at, "duplicate", "is in the list already"));
        }
    }
    if !operations.produce {
        let message = "lacks \"produce\", which every capability offers";
        faults.push(Fault::new(pointer, "required", message));
    }
    operations
}

fn read_rate(rate: &Value, pointer: &str, faults: &mut Faults) -> Option<Rate> {
    let fields = Fields::open(rate, pointer, &["per_s"], faults)?;
    fields.number("per_s", RATE_MIN_PER_S..=RATE_MAX_PER_S, faults).map(|per_s| Rate { per_s })
}

fn read_retry(retry: &Value, pointer: &str, faults: &mut Faults) -> Option<RetryPolicy> {
    let fields = Fields::open(retry, pointer, &["max_attempts", "first_delay_ms", "max_delay_ms"], faults)?;
    let usual = RetryPolicy::default();
    let max_attempts = fields.integer("max_attempts", 1..=ATTEMPTS, faults);
    let first = fields.integer("first_delay_ms", 1..=RETRY_DELAY_MS, faults);
    let longest = fields.integer("max_delay_ms", 1..=RETRY_DELAY_MS, faults);
    // Whoever sets only one of the two means that one.
    let first_delay_ms = first.unwrap_or_else(|| usual.first_delay_ms.min(longest.unwrap_or(u64::MAX)));
    let max_delay_ms = longest.unwrap_or_else(|| usual.max_delay_ms.max(first_delay_ms));
    if first_delay_ms > max_delay_ms {
        let message = format!("is {first_delay_ms}; at most max_delay_ms, {max_delay_ms}, is allowed");
        faults.push(Fault::new(fields.at("first_delay_ms"), "range", message));
    }
    Some(RetryPolicy {
        max_attempts: max_attempts.map_or(usual.max_attempts, small),
        first_delay_ms,
        max_delay_ms,
    })
}

/// A number that was read within bounds far below what 32 bits hold.
fn small(number: u64) -> u32 {
    u32::try_from(number).expect("the bounds of every setting fit into 32 bits")
}
