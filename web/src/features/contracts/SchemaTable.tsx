/** A JSON Schema as a table that people read: one row a property, those of nested objects below. */
import { Pill } from "~/components/Status";
import { SmallTable } from "~/components/Panel";
import { shown } from "~/lib/exact";
import { marksOf, propertiesOf, resolved, typeInWords, type JsonSchema } from "~/lib/schema";

/** Deeper than this nobody reads a table; the schema itself is a click away. */
const DEPTH_MAX = 6;

interface Row {
  name: string;
  schema: JsonSchema;
  required: boolean;
  depth: number;
}

function rowsOf(schema: JsonSchema, root: JsonSchema, depth: number): Row[] {
  if (depth > DEPTH_MAX) return [];
  return propertiesOf(schema, root).flatMap((property) => {
    const inside = property.schema["type"] === "array" ? resolved(property.schema["items"], root) : property.schema;
    return [{ ...property, depth }, ...rowsOf(inside, root, depth + 1)];
  });
}

export function SchemaTable({ schema, label }: { schema: unknown; label: string }) {
  const root = resolved(schema, schema as JsonSchema);
  const rows = rowsOf(root, schema as JsonSchema, 0);
  if (rows.length === 0) return <p className="dim">No properties are declared.</p>;
  return (
    <SmallTable label={label} head={["Property", "Value", "Default", "What it is"]}>
      {rows.map((row, index) => (
        <tr key={index}>
          <td className="mono" style={{ paddingLeft: row.depth * 16 }}>
            {row.name}
            {row.required && <span title="always there"> *</span>}
          </td>
          <td>{typeInWords(row.schema, schema as JsonSchema)}</td>
          <td className="mono">{"default" in row.schema ? shown(row.schema["default"]) : ""}</td>
          <td>
            <span className="row">
              {typeof row.schema["description"] === "string" && row.schema["description"]}
              {marksOf(row.schema).map((mark) => (
                <Pill key={mark}>{mark}</Pill>
              ))}
            </span>
          </td>
        </tr>
      ))}
    </SmallTable>
  );
}
