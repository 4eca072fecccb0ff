//! From a JSON document to a compiled schema: measured, read into a graph, then given to the library.

use std::collections::{BTreeMap, BTreeSet};

use jsonschema::{PatternOptions, ValidationOptions};
use serde_json::Value;

use crate::fault::Fault;
use crate::limits::{
    FAULTS_MAX, PATTERN_BYTES, PATTERN_COMPILED_BYTES, PATTERN_SMALL_BYTES, PATTERN_WORK, SCHEMA_BYTES,
    SCHEMA_CHAIN, SCHEMA_DEPTH, SCHEMA_EVALUATIONS, SCHEMA_KEY_BYTES, SCHEMA_NODES, SCHEMA_PATTERNS,
};
use crate::text::{excerpt, quoted};

use super::canonical::canonical;
use super::graph::{Circle, Graph};
use super::measure::{Bounds, measure};
use super::messages::Explain;
use super::read::{Example, read};
use super::{Compiled, INSTANCE};

const SCHEMA: Bounds = Bounds {
    what: "the schema",
    depth: SCHEMA_DEPTH,
    nodes: SCHEMA_NODES,
    bytes: SCHEMA_BYTES,
    key_bytes: SCHEMA_KEY_BYTES,
};

/// Compiles a schema, or says everything that is wrong with it.
pub(super) fn parse(document: &Value) -> Result<Compiled, Vec<Fault>> {
    measure(document, &SCHEMA).map_err(|fault| vec![fault])?;
    let read = read(document);
    let mut faults = read.faults;
    let pattern_work = check_patterns(&read.patterns, &mut faults);
    faults.extend(check_form(document));
    // The meta-schema reports some of what was found before in words of its own.
    let mut seen = BTreeSet::new();
    faults.retain(|fault| seen.insert(fault.pointer.clone()));
    faults.truncate(FAULTS_MAX);
    if !faults.is_empty() {
        return Err(faults);
    }
    let library = for_library(document);
    let matchers = matchers(&read.matched);
    let graph = Graph::new(read.nodes, matchers).map_err(|Circle(node)| {
        let message = "leads back to itself without going into a property or an item, so that no value could satisfy it";
        vec![Fault::new(read.pointers[node].clone(), "ref_cycle", message)]
    })?;
    check_work(&graph)?;
    let validator = options(PATTERN_COMPILED_BYTES).build(&library).map_err(|error| {
        let message = format!("cannot be compiled: {}", excerpt(&error.to_string()));
        vec![Fault::new(error.instance_path().as_str(), "schema_not_supported", message)]
    })?;
    let mut warnings = read.warnings;
    warnings.extend(check_examples(&library, &graph, pattern_work, &read.examples));
    warnings.truncate(FAULTS_MAX);
    Ok(Compiled {
        document: document.clone(),
        canonical: canonical(document),
        validator,
        graph,
        pattern_work,
        warnings,
    })
}

/// Linear-time patterns of bounded size, formats that are checked and not only noted, and nothing fetched from anywhere.
fn options(pattern_bytes: usize) -> ValidationOptions<'static> {
    let engine = PatternOptions::regex().size_limit(pattern_bytes).dfa_size_limit(pattern_bytes);
    jsonschema::options()
        .with_draft(jsonschema::Draft::Draft202012)
        .with_pattern_options(engine)
        .should_validate_formats(true)
        // The library compiles such a value as a pattern without any limit.
        .with_format("regex", |text: &str| {
            text.len() <= PATTERN_BYTES && pattern(text, PATTERN_COMPILED_BYTES).is_some()
        })
}

/// A validator for texts that match; `None` when the pattern is wrong, too large, or not a regular expression.
fn pattern(text: &str, compiled_bytes: usize) -> Option<jsonschema::Validator> {
    options(compiled_bytes).build(&serde_json::json!({ "pattern": text })).ok()
}

fn matchers(patterns: &[String]) -> BTreeMap<String, jsonschema::Validator> {
    patterns.iter().filter_map(|text| Some((text.clone(), pattern(text, PATTERN_COMPILED_BYTES)?))).collect()
}

/// The document without what would change how the library reads it; both were checked before.
fn for_library(document: &Value) -> Value {
    let mut document = document.clone();
    if let Value::Object(keywords) = &mut document {
        keywords.remove("$id");
        keywords.remove("$schema");
    }
    document
}

/// Returns what it costs to match one byte of text with all patterns of the schema.
fn check_patterns(patterns: &[(String, &str)], faults: &mut Vec<Fault>) -> usize {
    if let Some((pointer, _)) = patterns.get(SCHEMA_PATTERNS) {
        let message = format!("is one pattern too many; at most {SCHEMA_PATTERNS} are allowed in one schema");
        faults.push(Fault::new(pointer.clone(), "limit", message));
        return 0;
    }
    let mut work = 0;
    for (at, text) in patterns {
        if text.len() > PATTERN_BYTES {
            let message =
                format!("is a pattern of {} bytes; at most {PATTERN_BYTES} bytes are allowed", text.len());
            faults.push(Fault::new(at.clone(), "limit", message));
        } else if pattern(text, PATTERN_SMALL_BYTES).is_some() {
            work += 1;
        } else if pattern(text, PATTERN_COMPILED_BYTES).is_some() {
            work += PATTERN_COMPILED_BYTES / PATTERN_SMALL_BYTES;
        } else {
            let message = format!(
                "{} is not a pattern that can be matched in linear time within {PATTERN_COMPILED_BYTES} bytes: \
                 references back, look-around and large repetitions are not supported (`maxLength` bounds a length)",
                quoted(text)
            );
            faults.push(Fault::new(at.clone(), "pattern_not_supported", message));
        }
    }
    work
}

/// Compares the document with the meta-schema.
fn check_form(document: &Value) -> Vec<Fault> {
    let meta = jsonschema::draft202012::meta::validator();
    let explain = Explain { schema: &Value::Null, instance: document, redacted: None };
    meta.iter_errors(document).take(FAULTS_MAX).flat_map(|error| explain.faults(&error)).collect()
}

/// Even a small value must be within the budget, else the schema is of no use.
fn check_work(graph: &Graph) -> Result<(), Vec<Fault>> {
    let work = graph.cost(1).max(graph.cost_anywhere(0));
    if work > SCHEMA_EVALUATIONS {
        let message = format!(
            "multiplies its alternatives: one small value could take {work} steps of {SCHEMA_EVALUATIONS} allowed"
        );
        return Err(vec![Fault::new("", "limit", message)]);
    }
    let chain = graph.chain(1);
    if chain > SCHEMA_CHAIN {
        let message =
            format!("refers from one schema to the next {chain} times; at most {SCHEMA_CHAIN} are allowed");
        return Err(vec![Fault::new("", "limit", message)]);
    }
    Ok(())
}

/// Defaults and examples should satisfy the schema that they stand in.
fn check_examples(
    library: &Value,
    graph: &Graph,
    pattern_work: usize,
    examples: &[Example<'_>],
) -> Vec<Fault> {
    if examples.is_empty() {
        return Vec::new();
    }
    let Ok(validators) = options(PATTERN_COMPILED_BYTES).build_map(library) else { return Vec::new() };
    let mut warnings = Vec::new();
    for example in examples {
        let Some(validator) = validators.get(&format!("#{}", example.schema)) else { continue };
        // One that cannot be checked within bounds is not worth a warning.
        let Ok(size) = measure(example.value, &INSTANCE) else { continue };
        let work = graph.cost_anywhere(size.depth).saturating_mul(size.nodes as u64);
        let bounded = work <= SCHEMA_EVALUATIONS && graph.chain(size.depth) <= SCHEMA_CHAIN;
        if !bounded || pattern_work.saturating_mul(size.bytes) > PATTERN_WORK {
            continue;
        }
        if let Err(error) = validator.validate(example.value) {
            let explain = Explain { schema: library, instance: example.value, redacted: None };
            for fault in explain.faults(&error) {
                let message = format!("does not satisfy its own schema: {}", fault.message);
                warnings.push(Fault::new(
                    format!("{}{}", example.pointer, fault.pointer),
                    "example_invalid",
                    message,
                ));
            }
        }
    }
    warnings
}
