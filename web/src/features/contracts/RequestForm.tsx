/** The form that requests a contract: its input, where the data may come from, and for how long. */
import { Button, NativeSelect, TextInput } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { useRef, useState } from "react";
import { api, body } from "~/api/client";
import { asProblem } from "~/api/problem";
import { signIn } from "~/api/queries";
import type { Contract, Source } from "~/api/schema";
import { ProblemView } from "~/components/Problem";
import { Count } from "~/components/form/Count";
import { SchemaForm, type Input } from "~/components/form/SchemaForm";
import { newKey } from "~/lib/ids";
import { faultsOf, type JsonSchema } from "~/lib/schema";
import { MoreOptions } from "./MoreOptions";
import { optionsOf, type Draft } from "./wish";

const SOURCES: { value: Source; label: string }[] = [
  { value: "stock_first", label: "From stock, else made" },
  { value: "stock_only", label: "From stock or not at all" },
  { value: "fresh", label: "Always made" },
];
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
  const navigate = useNavigate();
  // One key for one wish: a second click, or a second try after a lost answer, makes no second request.
  const key = useRef<{ of: string; key: string }>(undefined);
  const make = useMutation({
    mutationFn: () => {
      const wish = {
        environment: env,
        contract: contract.name,
        input: draft.input,
        ...optionsOf(draft),
        priority: "person" as const,
        ...(holder.trim() === "" ? {} : { holder: holder.trim() }),
        ...(channel === undefined ? {} : { channel }),
      };
      const of = JSON.stringify(wish);
      if (key.current?.of !== of) key.current = { of, key: newKey() };
      return body(api.POST("/v1/requests", { body: wish, params: { header: { "Idempotency-Key": key.current.key } } }));
    },
    onSuccess: (request) => {
      key.current = undefined;
      return navigate({ to: "/env/$env/requests/$id", params: { env, id: request.id } });
    },
  });
  const faults = faultsHere(contract, draft.input, tried, make.error);
  const sources = contract.operations?.includes("find") === true ? [...SOURCES, FIND_FIRST] : SOURCES;
  const submit = () => {
    setTried(true);
    if (faultsOf(contract.input as JsonSchema, withDefaults(contract, draft.input)).size === 0) make.mutate();
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
      <MoreOptions contract={contract} draft={draft} onDraft={onDraft} faults={optionFaults(make.error)} />
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

/** What the server has said about how the data was to be chosen. */
function optionFaults(error: unknown): Map<string, string> {
  const errors = error === null ? [] : (asProblem(error).problem.errors ?? []);
  return new Map(errors.map(({ pointer, message }) => [pointer, message]));
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
  for (const { pointer, message } of error === null ? [] : (asProblem(error).problem.errors ?? [])) {
    if (pointer.startsWith("/input/")) faults.set(pointer.slice("/input".length), message);
  }
  return faults;
}

/** The server fills defaults in before it looks; so does the form, of the outermost properties. */
function withDefaults(contract: Contract, input: Input): Input {
  const properties = (contract.input as { properties?: Record<string, { default?: unknown }> }).properties ?? {};
  const defaults = Object.entries(properties).flatMap(([name, schema]) =>
    typeof schema === "object" && "default" in schema ? [[name, schema.default] as const] : [],
  );
  return { ...Object.fromEntries(defaults), ...input };
}
