/** Values of a payload, with what its contract marks as secret covered until somebody looks. */
import { Button, Skeleton } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { contract as contractQuery } from "~/api/queries";
import { isRecord, pretty, shown } from "~/lib/exact";
import { resolved, type JsonSchema } from "~/lib/schema";
import { covered, hasSecret } from "~/lib/secrets";
import { Copy } from "./Copy";
import css from "./Panel.module.css";

/** What the server shows of a secret to everybody but its holder. */
const COVERED_BY_SERVER = "***";

interface PayloadProps {
  env: string;
  contract: string;
  version: number;
  part: "input" | "output" | "facts";
  value: unknown;
  label: string;
}

/** The schema of a payload; until it is known everything counts as secret. */
function useSchema({ env, contract, version, part }: Pick<PayloadProps, "env" | "contract" | "version" | "part">) {
  const query = useQuery(contractQuery(env, contract, { version }));
  const schema = query.data?.[part] as JsonSchema | undefined;
  return { schema: schema ?? (query.isSuccess ? {} : { "x-secret": true }), pending: query.isPending };
}

/** One row a property, each with a copy button. */
export function Values(props: PayloadProps) {
  const { value, label } = props;
  const { schema, pending } = useSchema(props);
  if (pending && value !== undefined) return <Skeleton height={80} />;
  const entries = isRecord(value) ? Object.entries(value) : [];
  if (value !== undefined && !isRecord(value))
    return <Value name={label} value={value} secret={hasSecret(schema, schema)} />;
  if (entries.length === 0) return <p className="dim">nothing</p>;
  const own = resolved(schema, schema);
  const properties = isRecord(own["properties"]) ? own["properties"] : {};
  return (
    <table className={css["table"]} aria-label={label}>
      <tbody>
        {entries.map(([name, each]) => (
          <tr key={name}>
            <th scope="row" className="mono" style={{ width: "1%" }}>
              {name}
            </th>
            <td>
              <Value
                name={name}
                value={each}
                secret={own["x-secret"] === true || hasSecret(properties[name], schema)}
              />
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** The same as JSON, for where there is little room. */
export function JsonOf(props: PayloadProps) {
  const [open, setOpen] = useState(false);
  const { schema, pending } = useSchema(props);
  const { value, label } = props;
  if (value === undefined) return null;
  if (pending) return <Skeleton height={40} />;
  const secret = hasSecret(schema, schema);
  return (
    <>
      <Compact value={secret && !open ? covered(value, schema, schema) : value} />
      {secret && (
        <Button
          size="compact-xs"
          variant="default"
          onClick={() => setOpen(!open)}
          aria-label={`${open ? "Hide" : "Show"} secrets of ${label}`}
        >
          {open ? "Hide" : "Show"} secrets
        </Button>
      )}
    </>
  );
}

/** A flat object as names and values, anything else as JSON. */
function Compact({ value }: { value: unknown }) {
  const flat = isRecord(value) && Object.values(value).every((each) => typeof each !== "object" || each === null);
  if (!flat) return <pre>{pretty(value)}</pre>;
  return (
    <dl className={css["compact"]}>
      {Object.entries(value).map(([name, each]) => (
        <div key={name} style={{ display: "contents" }}>
          <dt>{name}</dt>
          <dd>{shown(each)}</dd>
        </div>
      ))}
    </dl>
  );
}

function Value({ name, value, secret }: { name: string; value: unknown; secret: boolean }) {
  const [open, setOpen] = useState(false);
  if (value === COVERED_BY_SERVER) return <span className="dim">secret, shown to the holder of the lease only</span>;
  return (
    <div className="row" style={{ flexWrap: "nowrap", alignItems: "flex-start" }}>
      <pre>{secret && !open ? "••••••••" : shown(value)}</pre>
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
