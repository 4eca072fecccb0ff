/** The form that requests a contract: its input, where the data may come from, and for how long. */
import { Button, NativeSelect, TextInput } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { faultsUnder } from "~/api/problem";
import { signIn } from "~/api/queries";
import type { Contract, Source } from "~/api/schema";
import { ProblemView } from "~/components/Problem";
import { Count } from "~/components/form/Count";
import { SchemaForm, type Input } from "~/components/form/SchemaForm";
import { SOURCES, useRequest } from "~/components/useMade";
import { faultsOf, type JsonSchema } from "~/lib/schema";
import { MoreOptions } from "./MoreOptions";
import { optionsOf, type Draft } from "./wish";

const FIND_FIRST = { value: "find_first", label: "What the service has, else made" } as const;

const LENGTHS = [
  { value: "300", label: "5 minutes" },
  { value: "1800", label: "30 minutes" },
  { value: "7200", label: "2 hours" },
  { value: "28800", label: "8 hours" },
  { value: "86400", label: "a day" },
];

interface RequestFormProps {
  env: string;
  contract: Contract;
  channel: string | undefined;
  draft: Draft;
  onDraft: (draft: Draft) => void;
}

export function RequestForm({ env, contract, channel, draft, onDraft }: RequestFormProps) {
  const [holder, setHolder] = useState("");
  const [tried, setTried] = useState(false);
  const who = useQuery(signIn).data;
  const make = useRequest(env, holder);
  const faults = faultsHere(contract, draft.input, tried, make.error);
  const sources = contract.operations?.includes("find") === true ? [...SOURCES, FIND_FIRST] : SOURCES;
  const submit = () => {
    setTried(true);
    if (faultsOf(contract.input as JsonSchema, withDefaults(contract, draft.input)).size > 0) return;
    const there = channel === undefined ? {} : { channel };
    make.mutate({ contract: contract.name, input: draft.input, ...optionsOf(draft), ...there });
  };
  return (
    <form
      className="stack"
      noValidate
      onSubmit={(event) => {
        event.preventDefault();
        submit();
      }}
    >
      <SchemaForm
        schema={contract.input as JsonSchema}
        value={draft.input}
        onChange={(input) => onDraft({ ...draft, input })}
        faults={faults}
      />
      <div className="row" style={{ alignItems: "flex-end", gap: 12 }}>
        <NativeSelect
          label="Where from"
          value={draft.source}
          data={sources}
          onChange={(event) => onDraft({ ...draft, source: event.currentTarget.value as Source })}
        />
        <NativeSelect
          label="Mine for"
          value={String(draft.ttl_s)}
          data={LENGTHS}
          onChange={(event) => onDraft({ ...draft, ttl_s: Number(event.currentTarget.value) })}
        />
        <Count
          label="How many"
          w={90}
          max={1000}
          value={draft.count}
          onChange={(count) => onDraft({ ...draft, count })}
        />
        <TextInput
          label="For whom"
          placeholder={who?.name ?? ""}
          maxLength={200}
          value={holder}
          onChange={(event) => setHolder(event.currentTarget.value)}
        />
      </div>
      <MoreOptions contract={contract} draft={draft} onDraft={onDraft} error={make.error} />
      {make.isError && (
        <ProblemView error={make.error} besides={(fault) => faults.has(fault.pointer.replace(/^\/input/, ""))} />
      )}
      <div className="row">
        <Button
          type="submit"
          loading={make.isPending}
          disabled={contract.status === "broken" || who?.role === "supplier"}
        >
          Request {draft.count > 1 ? `${draft.count} datasets` : "it"}
        </Button>
        <span className="dim">{remark(contract, who?.role)}</span>
        <span className="grow" />
        <Link to="/env/$env/requests/new" params={{ env }} search={{ of: contract.name }}>
          together with others
        </Link>
      </div>
    </form>
  );
}

function remark(contract: Contract, role: string | undefined): string {
  if (role === "supplier") return "A token of a supplier cannot request; sign in as a consumer.";
  if (contract.status === "broken") return "Its parts no longer fit together; the faults are told above.";
  if (contract.status === "offline")
    return "A supplier is away: it waits for it, for a minute by default, and then says whose it is.";
  return "";
}

/** What the form knows to be wrong once somebody has tried, and what the server has said about the input. */
function faultsHere(contract: Contract, input: Input, tried: boolean, error: unknown): Map<string, string> {
  const faults = tried
    ? faultsOf(contract.input as JsonSchema, withDefaults(contract, input))
    : new Map<string, string>();
  return new Map([...faults, ...faultsUnder(error, "/input")]);
}

/** The server fills defaults in before it looks; so does the form, of the outermost properties. */
function withDefaults(contract: Contract, input: Input): Input {
  const properties = (contract.input as { properties?: Record<string, { default?: unknown }> }).properties ?? {};
  const defaults = Object.entries(properties).flatMap(([name, schema]) =>
    typeof schema === "object" && "default" in schema ? [[name, schema.default] as const] : [],
  );
  return { ...Object.fromEntries(defaults), ...input };
}
