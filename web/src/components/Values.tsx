/** Values of a payload: one row a property, each with a copy button; what is secret stays covered until somebody looks. */
import { Button } from "@mantine/core";
import { useState } from "react";
import { isRecord, shown } from "~/lib/exact";
import { Copy } from "./Copy";
import css from "./Panel.module.css";

/** What the server shows of a secret to everybody but its holder. */
const COVERED = "***";

interface ValuesProps {
  value: unknown;
  label: string;
  /** Properties that the contract marks as secret. */
  secret?: ReadonlySet<string>;
}

export function Values({ value, label, secret }: ValuesProps) {
  if (!isRecord(value)) return value === undefined ? <p className="dim">nothing</p> : <pre>{shown(value)}</pre>;
  const entries = Object.entries(value);
  if (entries.length === 0) return <p className="dim">nothing</p>;
  return (
    <table className={css["table"]} aria-label={label}>
      <tbody>
        {entries.map(([name, each]) => (
          <tr key={name}>
            <th scope="row" className="mono" style={{ width: "1%" }}>
              {name}
            </th>
            <td>
              <Value name={name} value={each} secret={secret?.has(name) === true} />
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Value({ name, value, secret }: { name: string; value: unknown; secret: boolean }) {
  const [open, setOpen] = useState(false);
  if (value === COVERED) return <span className="dim">secret, shown to the holder of the lease only</span>;
  const hidden = secret && !open;
  return (
    <div className="row" style={{ flexWrap: "nowrap", alignItems: "flex-start" }}>
      <pre>{hidden ? "••••••••" : shown(value)}</pre>
      {secret && (
        <Button
          size="compact-xs"
          variant="default"
          onClick={() => setOpen(!open)}
          aria-label={`${open ? "Hide" : "Show"} ${name}`}
        >
          {open ? "Hide" : "Show"}
        </Button>
      )}
      <Copy value={typeof value === "string" ? value : shown(value)} what={name} />
    </div>
  );
}

/** The names of an object schema's properties that are marked as secret. */
export function secretsOf(schema: unknown): Set<string> {
  const properties = isRecord(schema) && isRecord(schema["properties"]) ? schema["properties"] : {};
  const secret = Object.entries(properties).filter(([, each]) => isRecord(each) && each["x-secret"] === true);
  return new Set(secret.map(([name]) => name));
}
