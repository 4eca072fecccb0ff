/** Several contracts in one request: all of them or none. */
import { Autocomplete, Button, NativeSelect, TextInput } from "@mantine/core";
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { useState } from "react";
import { faultsUnder } from "~/api/problem";
import { contract as contractQuery, contracts, signIn } from "~/api/queries";
import type { Source } from "~/api/schema";
import { Page, Panel } from "~/components/Panel";
import { ProblemView } from "~/components/Problem";
import { Empty, Read } from "~/components/States";
import { ContractLink } from "~/components/links";
import { SOURCES, useRequest } from "~/components/useMade";
import { SchemaForm, type Input } from "~/components/form/SchemaForm";
import type { JsonSchema } from "~/lib/schema";
import { counted } from "~/lib/words";

const FROM = "/frame/env/$env/requests/new";
/** As many as the API takes. */
const CONTRACTS_MAX = 100;
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
  const make = useRequest(env, holder);
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
          make.mutate({ source, items: names.map((contract, place) => ({ contract, input: inputs[place] ?? {} })) });
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
            faults={faultsUnder(make.error, `/items/${place}/input`)}
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
