/** A new stock rule: which contract and input, and how many are kept ready. */
import { Autocomplete, Button, TextInput } from "@mantine/core";
import { useInfiniteQuery, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api, body } from "~/api/client";
import { asProblem } from "~/api/problem";
import { contract as contractQuery, contracts, stockRules } from "~/api/queries";
import { ProblemView } from "~/components/Problem";
import { Count } from "~/components/form/Count";
import { SchemaForm, type Input } from "~/components/form/SchemaForm";
import type { JsonSchema } from "~/lib/schema";

export function NewRule({ env, onDone }: { env: string; onDone: () => void }) {
  const client = useQueryClient();
  const [name, setName] = useState("");
  const [contract, setContract] = useState("");
  const [target, setTarget] = useState(5);
  const [input, setInput] = useState<Input>({});
  const all =
    useInfiniteQuery(contracts(env)).data?.pages.flatMap(({ items }) => items.map((entry) => entry.name)) ?? [];
  const known = all.includes(contract);
  const about = useQuery({ ...contractQuery(env, contract), enabled: known }).data;
  const put = useMutation({
    mutationFn: () =>
      body(
        api.PUT("/v1/environments/{env}/stock-rules/{name}", {
          // A rule of that name is not replaced by accident.
          params: { path: { env, name }, header: { "If-Match": '"0"' } },
          body: { contract, input, target },
        }),
      ),
    onSuccess: async () => {
      await client.invalidateQueries({ queryKey: stockRules(env).queryKey });
      onDone();
    },
  });
  const said = put.error === null ? [] : (asProblem(put.error).problem.errors ?? []);
  const faults = new Map(said.map(({ pointer, message }) => [pointer.replace(/^\/input/, ""), message]));
  return (
    <form
      className="stack"
      onSubmit={(event) => {
        event.preventDefault();
        put.mutate();
      }}
    >
      <Autocomplete
        label="Contract"
        placeholder="domain/name"
        data={all}
        limit={20}
        value={contract}
        onChange={setContract}
        data-autofocus
        required
      />
      {about !== undefined && (
        <SchemaForm schema={about.input as JsonSchema} value={input} onChange={setInput} faults={faults} />
      )}
      <TextInput
        label="Name of the rule"
        placeholder="ready-customer-fr"
        pattern="[a-z0-9][a-z0-9._\-]*"
        value={name}
        onChange={(event) => setName(event.currentTarget.value)}
        required
      />
      <Count label="Datasets kept ready" max={100_000} value={target} onChange={(value) => setTarget(value)} />
      {put.isError && <ProblemView error={put.error} />}
      <div>
        <Button type="submit" disabled={!known || name === ""} loading={put.isPending}>
          Keep {target} ready
        </Button>
      </div>
    </form>
  );
}
