//! What a scenario does, as JSON: equal for files that differ only in layout, comments and what they say to people.

use serde_json::{Value, json};

use crate::expression::Expression;
use crate::scenario::{Scenario, Source, Step};
use crate::template::{Kind, Node, Piece};

/// The steps, invariants and output; the input is compared as a schema.
pub(super) fn definition(scenario: &Scenario) -> Value {
    let mut steps: Vec<&Step> = scenario.steps.iter().collect();
    // Their order in the file means nothing: they run as their bindings allow.
    steps.sort_unstable_by_key(|step| &step.name);
    let invariants = scenario.invariants.iter();
    json!({
        "steps": steps.into_iter().map(step).collect::<Vec<_>>(),
        "invariants": invariants.map(|one| json!({"that": one.that.text(), "says": one.says})).collect::<Vec<_>>(),
        "output": template(&scenario.output.root),
        "settle_s": scenario.settle_s,
        "timeout_s": scenario.timeout_s,
    })
}

fn step(step: &Step) -> Value {
    let mut depends_on = step.depends_on.clone();
    depends_on.sort_unstable();
    let retry = step.retry.map(|retry| json!([retry.max_attempts, retry.first_delay_ms, retry.max_delay_ms]));
    json!({
        "name": step.name,
        "uses": step.uses.to_string(),
        "with": template(&step.with.root),
        "depends_on": depends_on,
        "if": step.condition.as_ref().map(Expression::text),
        "for_each": step.for_each.as_ref().map(Expression::text),
        "retry": retry,
        "timeout_s": step.timeout_s,
        "from": match step.from {
            Source::StockFirst => "stock_first",
            Source::Fresh => "fresh",
        },
    })
}

fn template(node: &Node) -> Value {
    match &node.kind {
        Kind::Constant(value) => value.clone(),
        Kind::Expression(expression, _) => Value::String(embedded(expression)),
        Kind::Text(pieces) => pieces
            .iter()
            .map(|piece| match piece {
                Piece::Literal(text) => text.clone(),
                Piece::Expression(expression, _) => embedded(expression),
            })
            .collect::<String>()
            .into(),
        Kind::List(items) => items.iter().map(template).collect(),
        Kind::Object(fields) => {
            fields.iter().map(|field| (field.name.clone(), template(&field.value))).collect()
        }
        Kind::Broken => Value::Null,
    }
}

fn embedded(expression: &Expression) -> String {
    format!("${{{{ {} }}}}", expression.text().trim())
}
