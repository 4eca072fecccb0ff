/** JSON Schemas as forms and tables need them: references followed, unions told in words, values validated. */
import { Validator } from "@cfworker/json-schema";
import { isRecord, shown } from "./exact";

export type JsonSchema = Record<string, unknown>;

export interface Property {
  name: string;
  schema: JsonSchema;
  required: boolean;
}

/** References that lead to each other end after so many steps. */
const REFERENCES_MAX = 16;

/** Follows `#/…` references; a reference that leads nowhere allows anything. */
export function resolved(schema: unknown, root: JsonSchema): JsonSchema {
  let current = isRecord(schema) ? schema : {};
  for (let step = 0; step < REFERENCES_MAX && typeof current["$ref"] === "string"; step += 1) {
    const { $ref, ...beside } = current;
    const target = at(root, $ref);
    current = isRecord(target) ? { ...target, ...beside } : beside;
  }
  return current;
}

function at(root: JsonSchema, reference: string): unknown {
  if (!reference.startsWith("#")) return undefined;
  let value: unknown = root;
  for (const part of reference.slice(1).split("/").filter(Boolean)) {
    const name = decodeURIComponent(part).replaceAll("~1", "/").replaceAll("~0", "~");
    value = isRecord(value) && Object.hasOwn(value, name) ? value[name] : undefined;
  }
  return value;
}

export function propertiesOf(schema: JsonSchema, root: JsonSchema): Property[] {
  const properties = isRecord(schema["properties"]) ? schema["properties"] : {};
  const required = Array.isArray(schema["required"]) ? schema["required"] : [];
  return Object.entries(properties).map(([name, each]) => ({
    name,
    schema: resolved(each, root),
    required: required.includes(name),
  }));
}

/** What kind of value a schema takes, if it is one kind besides none. */
export function kindOf(schema: JsonSchema): string | undefined {
  const kinds = (Array.isArray(schema["type"]) ? schema["type"] : [schema["type"]]).filter((kind) => kind !== "null");
  return kinds.length === 1 && typeof kinds[0] === "string" ? kinds[0] : undefined;
}

/** The few values that are allowed, if there are few. */
export function choicesOf(schema: JsonSchema): unknown[] | undefined {
  if (Array.isArray(schema["enum"])) return schema["enum"] as unknown[];
  return "const" in schema ? [schema["const"]] : undefined;
}

/** `string, CZ | FR | DE`, `integer from 1 to 50`, `list of string`: what a reader of a table wants to know. */
export function typeInWords(schema: JsonSchema, root: JsonSchema): string {
  const choices = choicesOf(schema);
  if (choices !== undefined) return choices.map(shown).join(" | ");
  for (const union of ["oneOf", "anyOf"]) {
    const options = schema[union];
    if (Array.isArray(options)) return options.map((option) => typeInWords(resolved(option, root), root)).join(" or ");
  }
  const type = Array.isArray(schema["type"]) ? schema["type"].join(" or ") : shown(schema["type"] ?? "anything");
  if (type === "array")
    return `list of ${schema["items"] === undefined ? "anything" : typeInWords(resolved(schema["items"], root), root)}`;
  const format = typeof schema["format"] === "string" ? ` (${schema["format"]})` : "";
  return `${type}${format}${bounds(schema)}`;
}

function bounds(schema: JsonSchema): string {
  const say = (name: string, text: string) => (schema[name] === undefined ? "" : `${text} ${shown(schema[name])}`);
  const parts = [
    say("minimum", "from"),
    say("exclusiveMinimum", "above"),
    say("maximum", "to"),
    say("exclusiveMaximum", "below"),
    say("multipleOf", "in steps of"),
    say("minLength", "at least, in characters,"),
    say("maxLength", "at most, in characters,"),
    say("pattern", "like"),
  ].filter(Boolean);
  return parts.length === 0 ? "" : ` ${parts.join(" ")}`;
}

/** Marks of a property that are ours. */
export function marksOf(schema: JsonSchema): string[] {
  const marks = [];
  if (schema["x-secret"] === true) marks.push("secret");
  if (typeof schema["x-entity"] === "string") marks.push(`key of ${schema["x-entity"]}`);
  if (schema["x-selectable"] === true) marks.push("selectable");
  if (schema["x-volatile"] === true) marks.push("volatile");
  return marks;
}

/** What is wrong with a value, by JSON Pointer; only the innermost fault of each place. */
export function faultsOf(schema: JsonSchema, value: unknown): Map<string, string> {
  const faults = new Map<string, string>();
  let errors;
  try {
    ({ errors } = new Validator(schema, "2020-12", false).validate(value));
  } catch {
    // A schema that this validator cannot read is the server's to judge.
    return faults;
  }
  for (const { instanceLocation, keyword, error } of errors) {
    const pointer = instanceLocation.replace(/^#/, "");
    const missing = /does not have required property "([^"]+)"/.exec(error)?.[1];
    if (keyword === "properties" || keyword === "items" || keyword === "$ref") continue;
    if (missing === undefined) faults.set(pointer, inWords(error));
    else faults.set(`${pointer}/${missing.replaceAll("~", "~0").replaceAll("/", "~1")}`, "is needed");
  }
  return faults;
}

function inWords(error: string): string {
  return error.replace(/^Instance /, "").replace(/\.$/, "");
}
