/** Several contracts in one request: all of them or none. */
import { Autocomplete, Button, NativeSelect, TextInput } from "@mantine/core";
import { useInfiniteQuery, useMutation, useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { useRef, useState } from "react";
import { api, body } from "~/api/client";
import { asProblem } from "~/api/problem";
import { contract as contractQuery, contracts, signIn } from "~/api/queries";
import type { Source } from "~/api/schema";
import { Page, Panel } from "~/components/Panel";
import { ProblemView } from "~/components/Problem";
import { Empty, Read } from "~/components/States";
import { ContractLink } from "~/components/links";
import { SchemaForm, type Input } from "~/components/form/SchemaForm";
import { newKey } from "~/lib/ids";
import type { JsonSchema } from "~/lib/schema";
import { counted } from "~/lib/words";

const FROM = "/frame/env/$env/requests/new";
/** As many as the API takes. */
const CONTRACTS_MAX = 100;
const SOURCES: { value: Source; label: string }[] = [
  { value: "stock_first", label: "From stock, else made" },
  { value: "stock_only", label: "From stock or not at all" },
  { value: "fresh", label: "Always made" },
];

export function JointPage() {
  const { env } = useParams({ from: FROM });
  const { of } = useSearch({ from: FROM });
  const navigate = useNavigate({ from: "/env/$env/requests/new" });
  // The address holds which contracts, so that it can be sent to a colleague; what is filled in stays here.
  const names = of?.split(",").filter(Boolean) ?? [];
  const choose = (names: string[]) =>
    void navigate({ search: { of: names.length === 0 ? undefined : names.join(",") }, replace: true });
  const [inputs, setInputs] = useState<Record<number, Input>>({});
  const [source, setSource] = useState<Source>("stock_first");
  const [holder, setHolder] = useState("");
  const who = useQuery(signIn).data;
  const go = useNavigate();
  // One key for one wish: a second click makes no second request.
  const key = useRef<{ of: string; key: string }>(undefined);
  const make = useMutation({
    mutationFn: () => {
      const wish = {
        environment: env,
        items: names.map((contract, place) => ({ contract, input: inputs[place] ?? {} })),
        source,
        priority: "person" as const,
        ...(holder.trim() === "" ? {} : { holder: holder.trim() }),
      };
      const of = JSON.stringify(wish);
      if (key.current?.of !== of) key.current = { of, key: newKey() };
      return body(api.POST("/v1/requests", { body: wish, params: { header: { "Idempotency-Key": key.current.key } } }));
    },
    onSuccess: (request) => {
      key.current = undefined;
      return go({ to: "/env/$env/requests/$id", params: { env, id: request.id } });
    },
  });
  const leave = (place: number) => {
    choose(names.filter((_, at) => at !== place));
    const kept = names.map((_, at) => inputs[at] ?? {}).filter((_, at) => at !== place);
    setInputs(Object.fromEntries(kept.entries()));
  };
  return (
    <Page
      title="Several together"
      name={`Several together in ${env}`}
      over={
        <Link to="/env/$env/requests" params={{ env }}>
          Requests
        </Link>
      }
    >
      <form
        className="stack"
        noValidate
        onSubmit={(event) => {
          event.preventDefault();
          make.mutate();
        }}
      >
        {names.length === 0 && (
          <Empty title="All of them, or none">
            Choose contracts; you get a dataset of each, or the one that cannot be had is named and nothing is kept.
          </Empty>
        )}
        {names.map((name, place) => (
          <Wanted
            key={`${place} ${name}`}
            env={env}
            name={name}
            value={inputs[place] ?? {}}
            onChange={(input) => setInputs({ ...inputs, [place]: input })}
            faults={faultsAt(make.error, place)}
            onLeave={() => leave(place)}
          />
        ))}
        {names.length < CONTRACTS_MAX && <Add env={env} onAdd={(name) => choose([...names, name])} />}
        {make.isError && <ProblemView error={make.error} />}
        <div className="row" style={{ alignItems: "flex-end", gap: 12 }}>
          <NativeSelect
            label="Where from"
            value={source}
            data={SOURCES}
            onChange={(event) => setSource(event.currentTarget.value as Source)}
          />
          <TextInput
            label="For whom"
            placeholder={who?.name ?? ""}
            maxLength={200}
            value={holder}
            onChange={(event) => setHolder(event.currentTarget.value)}
          />
          <Button type="submit" loading={make.isPending} disabled={names.length === 0 || who?.role === "supplier"}>
            Request {names.length === 0 ? "them" : counted(names.length, "dataset")}
          </Button>
        </div>
      </form>
    </Page>
  );
}

interface WantedProps {
  env: string;
  name: string;
  value: Input;
  onChange: (value: Input) => void;
  faults: ReadonlyMap<string, string>;
  onLeave: () => void;
}

function Wanted({ env, name, value, onChange, faults, onLeave }: WantedProps) {
  const query = useQuery(contractQuery(env, name));
  return (
    <Panel
      title={<ContractLink env={env} name={name} version={query.data?.version} />}
      actions={
        <Button size="compact-xs" variant="default" aria-label={`Leave out ${name}`} onClick={onLeave}>
          Leave out
        </Button>
      }
    >
      <Read query={query} rows={2}>
        {(contract) => (
          <SchemaForm schema={contract.input as JsonSchema} value={value} onChange={onChange} faults={faults} />
        )}
      </Read>
    </Panel>
  );
}

/** A name that is chosen, or written to its end and confirmed. */
function Add({ env, onAdd }: { env: string; onAdd: (name: string) => void }) {
  const [text, setText] = useState("");
  const all = useInfiniteQuery(contracts(env)).data?.pages.flatMap(({ items }) => items.map(({ name }) => name)) ?? [];
  const add = (name: string) => {
    if (!all.includes(name)) return;
    onAdd(name);
    setText("");
  };
  return (
    <Autocomplete
      label="Add a contract"
      placeholder="domain/name"
      maw={420}
      limit={20}
      data={all}
      value={text}
      onChange={setText}
      onOptionSubmit={(name) => {
        add(name);
        // The field would keep what was chosen.
        queueMicrotask(() => setText(""));
      }}
      onKeyDown={(event) => {
        if (event.key !== "Enter" || !all.includes(text)) return;
        event.preventDefault();
        add(text);
      }}
    />
  );
}

/** What the server has said about the input of one of them. */
function faultsAt(error: unknown, place: number): Map<string, string> {
  const begin = `/items/${place}/input`;
  const errors = error === null ? [] : (asProblem(error).problem.errors ?? []);
  return new Map(
    errors
      .filter(({ pointer }) => pointer.startsWith(begin))
      .map(({ pointer, message }) => [pointer.slice(begin.length), message]),
  );
}
