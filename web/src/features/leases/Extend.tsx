/** Advancing the leased data by one more contract, just in time, and what came of it before. */
import { Autocomplete, Button } from "@mantine/core";
import { useInfiniteQuery, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api, body } from "~/api/client";
import { asProblem } from "~/api/problem";
import { contract as contractQuery, contracts, lease as leaseQuery } from "~/api/queries";
import type { Lease } from "~/api/schema";
import { Panel, SmallTable } from "~/components/Panel";
import { ProblemView } from "~/components/Problem";
import { Status } from "~/components/Status";
import { JsonOf } from "~/components/Values";
import { ContractLink, DatasetLink } from "~/components/links";
import { SchemaForm, type Input } from "~/components/form/SchemaForm";
import type { JsonSchema } from "~/lib/schema";

export function Extend({ env, lease }: { env: string; lease: Lease }) {
  const done = lease.extensions ?? [];
  if (lease.status !== "held" && done.length === 0) return null;
  return (
    <Panel title="Extensions">
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
  const faults = new Map(
    (extend.error === null ? [] : (asProblem(extend.error).problem.errors ?? [])).map(({ pointer, message }) => [
      pointer.replace(/^\/input/, ""),
      message,
    ]),
  );
  return (
    <form
      className="stack"
      onSubmit={(event) => {
        event.preventDefault();
        extend.mutate();
      }}
    >
      <p className="dim">
        Advance this data by one more state. What you leave out is taken from the data where it has the same name.
      </p>
      <Autocomplete
        label="Contract"
        placeholder="domain/name"
        data={all}
        value={name}
        onChange={setName}
        limit={20}
        maw={420}
      />
      {about !== undefined && (
        <SchemaForm schema={about.input as JsonSchema} value={input} onChange={setInput} faults={faults} />
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
