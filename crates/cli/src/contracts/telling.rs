//! One contract for people: what it takes, what it gives, what it is made of, and how it has been doing.

use serde_json::Value;
use sixpack::wire::{Contract, ContractStatistics, ContractStatus};

use super::{owner, statistics, where_it_is};
use crate::fault::Fault;
use crate::leases::plain;
use crate::paging::or_dash;
use crate::printing::Output;
use crate::times::moment;

/// What schemas mark properties by, and what is said of it.
const MARKS: [(&str, &str); 4] = [
    ("x-entity", "key of"),
    ("x-secret", "secret"),
    ("x-selectable", "selectable from stock"),
    ("x-volatile", "volatile: differs each time"),
];

/// Prints a contract.
pub(super) fn show_one(
    contract: &Contract,
    statistics: Option<&ContractStatistics>,
    output: &mut Output,
) -> Result<(), Fault> {
    let status = where_it_is(&contract.status, contract.channel.as_deref());
    output.line(format!("{}@{}  {}  {status}", contract.name, contract.version, contract.kind))?;
    output.block(&contract.description)?;
    output.line(format!("owner    {}", owner(&contract.owner)))?;
    if !contract.labels.is_empty() {
        let labels = contract.labels.iter().map(|(key, value)| format!("{key}={value}"));
        output.line(format!("labels   {}", labels.collect::<Vec<_>>().join(", ")))?;
    }
    if !contract.operations.is_empty() {
        let operations: Vec<_> = contract.operations.iter().map(ToString::to_string).collect();
        let suppliers = match contract.sessions {
            None => String::new(),
            Some(0) => "  (no supplier is connected)".to_owned(),
            Some(1) => "  by 1 connected supplier".to_owned(),
            Some(count) => format!("  by {count} connected suppliers"),
        };
        output.line(format!("does     {}{suppliers}", operations.join(", ")))?;
    }
    output.line(format!("checked  {} of {} parts", contract.checked, contract.of))?;
    if contract.drifted > 0 {
        let times =
            if contract.drifted == 1 { "once".to_owned() } else { format!("{} times", contract.drifted) };
        output.line(format!("drifted  {times} it was the first in stock that did not hold any more"))?;
    }
    if let Some(imported) = contract.imported {
        let checking = if imported.checking > 0 {
            format!(", {} being checked", imported.checking)
        } else {
            String::new()
        };
        output.line(format!("imported  {} in stock{checking}", imported.ready))?;
    }
    if let Some(doubted) = &contract.doubted {
        output.line(format!("doubted  {}; owner {}", doubted.message, owner(&doubted.owner)))?;
    }
    for fault in &contract.faults {
        output.line(format!("fault    {fault}"))?;
    }
    if let Some(statistics) = statistics {
        statistics::show(statistics, output)?;
    }
    schema("INPUT", &contract.input, output)?;
    schema("OUTPUT", &contract.output, output)?;
    if let Some(facts) = &contract.facts {
        schema("FACTS", facts, output)?;
    }
    steps(contract, output)?;
    if !contract.used_by.is_empty() {
        output.line("")?;
        output.line(format!("used by  {}", contract.used_by.join(", ")))?;
    }
    output.line("")?;
    let versions = contract.versions.iter().map(|version| {
        let changes: Vec<_> = version.changes.iter().map(ToString::to_string).collect();
        let [number, change] = [version.version.to_string(), version.change.to_string()];
        let sessions = version.sessions.map(|sessions| sessions.to_string()).unwrap_or_default();
        [number, change, moment(&version.created_at), sessions, changes.join("; ")]
    });
    output.table(["VERSION", "CHANGE", "SINCE", "SUPPLIERS", "WHAT"], versions)?;
    output.line("")?;
    output.line(how_to_go_on(contract))
}

/// How it is requested, or what has to happen before it can be.
fn how_to_go_on(contract: &Contract) -> String {
    match contract.status {
        ContractStatus::Broken => {
            "it cannot be requested: it mends itself when versions are offered that it fits again, else apply its file mended"
                .to_owned()
        }
        _ => format!("request it:  {}", example(contract)),
    }
}

fn steps(contract: &Contract, output: &mut Output) -> Result<(), Fault> {
    if contract.steps.is_empty() {
        return Ok(());
    }
    output.line("")?;
    output.table(
        ["STEP", "USES", "NEEDS", "WITH"],
        contract.steps.iter().map(|step| {
            let needs = (!step.needs.is_empty()).then(|| step.needs.join(", "));
            [step.name.clone(), step.uses.clone(), or_dash(needs), plain(&step.with)]
        }),
    )?;
    if contract.invariants.is_empty() {
        return Ok(());
    }
    output.line("")?;
    let invariants =
        contract.invariants.iter().map(|invariant| [invariant.says.clone(), invariant.that.clone()]);
    output.table(["INVARIANT", "THAT"], invariants)
}

/// Prints the properties of a schema as rows; one of another form as JSON.
fn schema(title: &str, schema: &Value, output: &mut Output) -> Result<(), Fault> {
    output.line("")?;
    let Some(properties) = schema["properties"].as_object().filter(|properties| !properties.is_empty())
    else {
        return output.line(format!("{title}  {schema}"));
    };
    let required = |name: &str| {
        schema["required"].as_array().is_some_and(|names| names.iter().any(|required| required == name))
    };
    let rows = properties.iter().map(|(name, property)| {
        let kind = match (&property["enum"], &property["const"], &property["type"]) {
            (Value::Array(values), ..) => values.iter().map(plain).collect::<Vec<_>>().join(" | "),
            (_, constant, _) if !constant.is_null() => plain(constant),
            (.., Value::Null) => "any".to_owned(),
            (.., kind) => plain(kind),
        };
        let description = property["description"].as_str().map(str::to_owned);
        let says: Vec<_> = description.into_iter().chain(marks(property)).collect();
        let need = match (&property["default"], required(name)) {
            (Value::Null, true) => "required".to_owned(),
            (Value::Null, false) => "optional".to_owned(),
            (default, _) => format!("default {}", plain(default)),
        };
        [name.clone(), kind, need, says.join("; ")]
    });
    output.table([title, "TYPE", "", ""], rows)
}

/// What a property is marked by.
fn marks(property: &Value) -> impl Iterator<Item = String> {
    MARKS.into_iter().filter_map(|(mark, says)| match &property[mark] {
        Value::Null | Value::Bool(false) => None,
        Value::String(what) => Some(format!("{says} {what}")),
        _ => Some(says.to_owned()),
    })
}

/// A command that requests the contract, with a place for every input that has to be given.
fn example(contract: &Contract) -> String {
    let mut command = format!("sixpack request {}", contract.name);
    let required = contract.input["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    for name in required.filter(|name| contract.input["properties"][*name]["default"].is_null()) {
        let property = &contract.input["properties"][name];
        let value = property["enum"][0].as_str().unwrap_or("…");
        command.push_str(&format!(" --set {name}={value}"));
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_mark_of_a_property_is_told() {
        let property =
            json!({"x-entity": "order", "x-secret": false, "x-selectable": true, "x-volatile": true});
        let told: Vec<String> = marks(&property).collect();
        assert_eq!(told, ["key of order", "selectable from stock", "volatile: differs each time"]);
        assert_eq!(marks(&json!({"x-secret": true})).collect::<Vec<_>>(), ["secret"]);
    }

    #[test]
    fn a_contract_that_is_broken_cannot_be_requested() {
        let of = |status: &str| -> Contract {
            serde_json::from_value(json!({"name":"a/b","version":1,"kind":"scenario","status":status}))
                .unwrap()
        };
        assert_eq!(how_to_go_on(&of("offline")), "request it:  sixpack request a/b");
        let broken = how_to_go_on(&of("broken"));
        assert!(broken.contains("cannot be requested") && !broken.contains("sixpack request"), "{broken}");
    }

    #[test]
    fn the_example_names_what_has_to_be_given() {
        let contract: Contract = serde_json::from_value(json!({
            "name":"a/b","version":1,"kind":"capability","status":"online",
            "input":{"type":"object","required":["country","id","lines"],"properties":{
                "country":{"enum":["CZ","FR"]},"id":{"type":"string"},"lines":{"default":2},"note":{}}}
        }))
        .unwrap();
        assert_eq!(example(&contract), "sixpack request a/b --set country=CZ --set id=…");
    }
}
