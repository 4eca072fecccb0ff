/** Advancing the leased data by one more contract, just in time, and what came of it before. */
import { Autocomplete, Button } from "@mantine/core";
import { useInfiniteQuery, useMutation, useQueries, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api, body } from "~/api/client";
import { faultsUnder } from "~/api/problem";
import { contract as contractQuery, contracts, lease as leaseQuery } from "~/api/queries";
import type { Lease } from "~/api/schema";
import { Panel, SmallTable } from "~/components/Panel";
import { ProblemView } from "~/components/Problem";
import { Status } from "~/components/Status";
import { JsonOf } from "~/components/Values";
import { ContractLink, DatasetLink } from "~/components/links";
import { SchemaForm, type Input } from "~/components/form/SchemaForm";
import { isRecord } from "~/lib/exact";
import type { JsonSchema } from "~/lib/schema";

export function Extend({ env, lease }: { env: string; lease: Lease }) {
  const done = lease.extensions ?? [];
  if (lease.status !== "held" && done.length === 0) return null;
  return (
    <Panel title={done.length === 0 ? "Take it one state further" : "What it was extended by"}>
      <div className="stack">
        {done.length > 0 && (
          <SmallTable label="Extensions" head={["Contract", "State", "Output or failure", "More"]}>
            {done.map((each) => (
              <tr key={each.step}>
                <td>
                  <ContractLink env={env} name={each.contract} version={each.version} />
                </td>
                <td>
                  <Status word={each.status} />
                </td>
                <td>
                  {each.failure === undefined ? (
                    <JsonOf
                      env={env}
                      contract={each.contract}
                      version={each.version}
                      part="output"
                      value={each.output}
                      label={each.contract}
                    />
                  ) : (
                    `${each.failure.owner.team}: ${each.failure.message}`
                  )}
                </td>
                <td>
                  <DatasetLink env={env} id={each.dataset_id}>
                    details
                  </DatasetLink>
                </td>
              </tr>
            ))}
          </SmallTable>
        )}
        {lease.status === "held" && <ExtendForm key={done.length} env={env} lease={lease} />}
      </div>
    </Panel>
  );
}

/** How many contracts are looked at for those that fit. */
const LOOKED_AT = 8;

/** Contracts of the domains that have a part in the data which need nothing but what it has. */
function Fitting({ env, lease, onChoose }: { env: string; lease: Lease; onChoose: (name: string) => void }) {
  const all = useInfiniteQuery(contracts(env)).data?.pages.flatMap(({ items }) => items) ?? [];
  const parts = [lease.dataset.contract, ...(lease.dataset.evidence?.parts ?? []).map(({ contract }) => contract)];
  const domains = new Set(parts.map((name) => name.split("/")[0]));
  const near = all.filter(
    ({ name, kind, status }) =>
      kind === "capability" && status === "online" && domains.has(name.split("/")[0]) && !parts.includes(name),
  );
  const read = useQueries({ queries: near.slice(0, LOOKED_AT).map(({ name }) => contractQuery(env, name)) });
  const fitting = read.flatMap(({ data }) =>
    data !== undefined && fits(data.input, lease.dataset.output) ? [data] : [],
  );
  if (fitting.length === 0) return null;
  return (
    <div className="row">
      <span className="dim">Goes on from here:</span>
      {fitting.map(({ name, description }) => (
        <Button key={name} size="compact-xs" variant="default" title={description} onClick={() => onChoose(name)}>
          {name}
        </Button>
      ))}
    </div>
  );
}

/** The schema without the need for what the data has under the same name. It is not shown here: it may be a secret. */
export function filledFrom(output: unknown, schema: JsonSchema): JsonSchema {
  const { required } = schema;
  if (!isRecord(output) || !Array.isArray(required)) return schema;
  return { ...schema, required: required.filter((name) => !Object.hasOwn(output, String(name))) };
}

/** Whether everything that an input needs is there under the same name; one that needs nothing goes on from nothing. */
export function fits(input: unknown, output: unknown): boolean {
  const required = isRecord(input) && Array.isArray(input["required"]) ? input["required"] : [];
  return required.length > 0 && isRecord(output) && required.every((name) => Object.hasOwn(output, String(name)));
}

function ExtendForm({ env, lease }: { env: string; lease: Lease }) {
  const client = useQueryClient();
  const [name, setName] = useState("");
  const [input, setInput] = useState<Input>({});
  const all =
    useInfiniteQuery(contracts(env)).data?.pages.flatMap(({ items }) => items.map((entry) => entry.name)) ?? [];
  const known = all.includes(name);
  const about = useQuery({ ...contractQuery(env, name), enabled: known }).data;
  const extend = useMutation({
    mutationFn: () =>
      body(
        api.POST("/v1/leases/{id}/extend", {
          params: { path: { id: lease.id } },
          body: { fence: lease.fence, contract: name, input, number: (lease.extensions?.length ?? 0) + 1 },
        }),
      ),
    onSuccess: (fresh) => client.setQueryData(leaseQuery(lease.id).queryKey, fresh),
  });
  // What was filled in for another contract is not sent to this one.
  const choose = (chosen: string) => {
    setName(chosen);
    setInput({});
  };
  return (
    <form
      className="stack"
      onSubmit={(event) => {
        event.preventDefault();
        extend.mutate();
      }}
    >
      <p className="dim">
        A contract that goes on from this data: place its order, close its account. What you leave out is taken from the
        data where it has the same name; whatever it makes is undone with the rest.
      </p>
      <Fitting env={env} lease={lease} onChoose={choose} />
      <Autocomplete
        label="Contract"
        placeholder="domain/name"
        data={all}
        value={name}
        onChange={choose}
        limit={20}
        maw={420}
      />
      {about !== undefined && (
        <SchemaForm
          schema={filledFrom(lease.dataset.output, about.input as JsonSchema)}
          value={input}
          onChange={setInput}
          faults={faultsUnder(extend.error, "/input")}
          says="What you leave out is taken from the data, or takes its default."
        />
      )}
      {extend.isError && <ProblemView error={extend.error} />}
      <div>
        <Button size="compact-sm" type="submit" disabled={!known} loading={extend.isPending}>
          Extend
        </Button>
      </div>
    </form>
  );
}
