/** Rows of a file that is to be imported, each with its line: a table with a column for each property, or JSON. */
import { isRecord, parseExact } from "~/lib/exact";
import { kindOf, propertiesOf, resolved, type JsonSchema } from "~/lib/schema";

export interface Row {
  line: number;
  input: Record<string, unknown>;
  output: unknown;
}

export interface RowFault {
  line: number;
  /** Where in the row, as a column or a pointer; nothing when it is the row as a whole. */
  place: string;
  message: string;
}

export interface Rows {
  rows: Row[];
  faults: RowFault[];
}

export interface Schemas {
  input: JsonSchema;
  output: JsonSchema;
}

/** Reads a file; what it is made of is told by how it begins. */
export function rowsOf(text: string, schemas: Schemas): Rows {
  const begin = text.replace(/^\uFEFF/, "").trimStart();
  if (begin === "") return { rows: [], faults: [] };
  if (begin.startsWith("[")) return ofList(text);
  return begin.startsWith("{") ? ofLines(text) : ofTable(text, schemas);
}

/** The line of a fault that the server has found, by its pointer: `/rows/3/output/id`. */
export function faultAt({ pointer, message }: { pointer: string; message: string }, rows: Row[]): RowFault {
  const [, number = "", place = ""] = /^\/rows\/(\d+)(.*)$/.exec(pointer) ?? [];
  const line = number === "" ? 0 : (rows[Number(number)]?.line ?? 0);
  // Other rows are named by their numbers, which nobody sees in a file.
  const told = message.replaceAll(/\/rows\/(\d+)/g, (whole, other: string) => {
    const at = rows[Number(other)]?.line;
    return at === undefined ? whole : `line ${at}`;
  });
  return { line, place: place.slice(1).replaceAll("/", "."), message: told };
}

function ofList(text: string): Rows {
  try {
    const all = parseExact(text);
    if (!Array.isArray(all)) return { rows: [], faults: [{ line: 1, place: "", message: "is no list of rows" }] };
    // Which line a row of a list begins in is not known; its number is.
    return gathered(all.map((value, index) => [index + 1, value]));
  } catch (error) {
    return { rows: [], faults: [{ line: 1, place: "", message: messageOf(error) }] };
  }
}

function ofLines(text: string): Rows {
  const values: [number, unknown][] = [];
  const faults: RowFault[] = [];
  text.split("\n").forEach((each, index) => {
    if (each.trim() === "") return;
    try {
      values.push([index + 1, parseExact(each)]);
    } catch (error) {
      faults.push({ line: index + 1, place: "", message: messageOf(error) });
    }
  });
  const read = gathered(values);
  return { rows: read.rows, faults: [...faults, ...read.faults] };
}

function gathered(values: [number, unknown][]): Rows {
  const rows: Row[] = [];
  const faults: RowFault[] = [];
  for (const [line, value] of values) {
    if (isRecord(value) && "output" in value) {
      rows.push({ line, input: isRecord(value["input"]) ? value["input"] : {}, output: value["output"] });
    } else faults.push({ line, place: "", message: "has no `output`: what making it would have answered" });
  }
  return { rows, faults };
}

interface TableColumn {
  side: "input" | "output";
  path: string[];
  kind: string | undefined;
}

function ofTable(text: string, schemas: Schemas): Rows {
  const [head, ...records] = recordsOf(text);
  if (head === undefined) return { rows: [], faults: [] };
  const columns: TableColumn[] = [];
  const faults: RowFault[] = [];
  for (const name of head.cells.map((cell) => cell.trim())) {
    const [, side, path] = /^(input|output)\.(.+)$/.exec(name) ?? [];
    if (path === undefined || path.split(".").includes("__proto__") || (side !== "input" && side !== "output")) {
      const message = "is no column of a row; name it after a property, such as input.country or output.id";
      faults.push({ line: head.line, place: name, message });
    } else columns.push({ side, path: path.split("."), kind: kindAt(schemas[side], path.split(".")) });
  }
  if (faults.length > 0) return { rows: [], faults };
  const rows: Row[] = [];
  for (const { line, cells } of records) {
    if (cells.length === columns.length) rows.push(rowOf(line, cells, columns));
    else {
      const message = `has ${cells.length} values, and the table has ${columns.length} columns`;
      faults.push({ line, place: "", message });
    }
  }
  return { rows, faults };
}

function rowOf(line: number, cells: string[], columns: TableColumn[]): Row {
  const row = { input: {}, output: {} };
  columns.forEach(({ side, path, kind }, index) => {
    const text = cells[index] ?? "";
    if (text !== "") put(row[side], path, valueOf(text, kind));
  });
  return { line, ...row };
}

function put(into: Record<string, unknown>, [name = "", ...rest]: string[], value: unknown): void {
  if (rest.length === 0) {
    into[name] = value;
    return;
  }
  // A name such as `__proto__` is that of something that every object has.
  const inner = Object.hasOwn(into, name) ? into[name] : undefined;
  const object = isRecord(inner) ? inner : {};
  into[name] = object;
  put(object, rest, value);
}

/** A cell as the type of its property; as text when it is none, which the server then refuses by name. */
function valueOf(text: string, kind: string | undefined): unknown {
  if (kind === undefined || kind === "string") return text;
  try {
    return parseExact(text);
  } catch {
    return text;
  }
}

function kindAt(root: JsonSchema, path: string[]): string | undefined {
  let schema = resolved(root, root);
  for (const name of path) {
    const property = propertiesOf(schema, root).find((each) => each.name === name);
    if (property === undefined) return undefined;
    schema = property.schema;
  }
  return kindOf(schema);
}

interface TextRecord {
  line: number;
  cells: string[];
}

/** Records of a table with commas, as RFC 4180 has them: a cell in quotes may hold commas, quotes and ends of lines. */
export function recordsOf(text: string): TextRecord[] {
  const records: TextRecord[] = [];
  let [cells, cell, quoted, line, begun]: [string[], string, boolean, number, number] = [[], "", false, 1, 1];
  const end = () => {
    if (cells.length > 0 || cell.trim() !== "") records.push({ line: begun, cells: [...cells, cell] });
    [cells, cell, begun] = [[], "", line];
  };
  const source = text.replace(/^\uFEFF/, "").replaceAll("\r\n", "\n");
  for (let at = 0; at < source.length; at += 1) {
    const sign = source[at] ?? "";
    if (sign === "\n") line += 1;
    if (quoted) {
      if (sign !== '"') cell += sign;
      else if (source[at + 1] === '"') {
        cell += sign;
        at += 1;
      } else quoted = false;
    } else if (sign === '"' && cell === "") quoted = true;
    else if (sign === ",") {
      cells.push(cell);
      cell = "";
    } else if (sign === "\n") end();
    else cell += sign;
  }
  end();
  return records;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
