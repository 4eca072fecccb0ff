/** Registers data that a service has already: a file is checked as a whole, with every fault at its line, and then imported. */
import { Button, FileButton, Textarea } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useMemo, useState } from "react";
import { api, body } from "~/api/client";
import { asProblem } from "~/api/problem";
import type { Contract } from "~/api/schema";
import { Snippet } from "~/components/Copy";
import { Panel, SmallTable } from "~/components/Panel";
import { ProblemView } from "~/components/Problem";
import { shown } from "~/lib/exact";
import { propertiesOf, resolved, type JsonSchema } from "~/lib/schema";
import { counted } from "~/lib/words";
import { faultAt, rowsOf, type Row, type RowFault } from "./importRows";

/** Rows that are shown before they are imported. */
const PREVIEW_ROWS = 5;

export function ImportPanel({ env, contract }: { env: string; contract: Contract }) {
  const [text, setText] = useState("");
  const client = useQueryClient();
  const schemas = { input: contract.input as JsonSchema, output: contract.output as JsonSchema };
  const read = useMemo(() => rowsOf(text, schemas), [text, contract]); // eslint-disable-line react-hooks/exhaustive-deps -- the schemas are the contract's
  const send = useMutation({
    mutationFn: ({ dry_run }: { dry_run: boolean }) => {
      const rows = read.rows.map(({ input, output }) => ({ input, output }));
      return body(
        api.POST("/v1/environments/{env}/imports", {
          params: { path: { env }, query: { dry_run } },
          body: { contract: contract.name, rows: rows as never },
        }),
      );
    },
    onSuccess: (_, { dry_run }) => (dry_run ? undefined : client.invalidateQueries({ queryKey: ["contract", env] })),
  });
  const refused = send.error === null ? [] : faultsOf(send.error, read.rows);
  const faults = [...read.faults, ...refused];
  const write = (text: string) => {
    send.reset();
    setText(text);
  };
  return (
    <div className="columns">
      <Panel
        title="Import data that exists"
        actions={
          <FileButton
            accept=".csv,.json,.jsonl,text/csv,application/json"
            onChange={(file) => void file?.text().then(write)}
          >
            {(props) => (
              <Button {...props} size="compact-sm" variant="default">
                Choose a file
              </Button>
            )}
          </FileButton>
        }
      >
        <div className="stack">
          <Textarea
            label="Rows, as CSV or JSON"
            description="A line for each dataset: what it would have been made from, and what making it would have answered"
            autosize
            minRows={6}
            maxRows={18}
            spellCheck={false}
            classNames={{ input: "mono" }}
            placeholder={example(contract)}
            value={text}
            onChange={(event) => write(event.currentTarget.value)}
          />
          {faults.length > 0 && <Faults faults={faults} />}
          {send.isError && refused.length === 0 && <ProblemView error={send.error} />}
          {send.data !== undefined && faults.length === 0 && (
            <Outcome env={env} contract={contract.name} count={send.data.datasets.length} rows={read.rows.length} />
          )}
          <div className="row">
            <Button
              variant="default"
              loading={send.isPending && send.variables.dry_run}
              disabled={read.rows.length === 0 || read.faults.length > 0}
              onClick={() => send.mutate({ dry_run: true })}
            >
              Check
            </Button>
            <Button
              loading={send.isPending && !send.variables.dry_run}
              disabled={read.rows.length === 0 || read.faults.length > 0}
              onClick={() => send.mutate({ dry_run: false })}
            >
              Import {read.rows.length > 0 && counted(read.rows.length, "row")}
            </Button>
          </div>
        </div>
      </Panel>
      <Panel title="What is read">
        {read.rows.length === 0 ? (
          <div className="stack">
            <p className="dim">
              Each row becomes a dataset in stock, once the service has confirmed it. It is never undone. A file may
              begin like this:
            </p>
            <Snippet text={example(contract)} what="the head of a file" />
          </div>
        ) : (
          <Preview rows={read.rows} />
        )}
      </Panel>
    </div>
  );
}

function faultsOf(error: unknown, rows: Row[]): RowFault[] {
  return (asProblem(error).problem.errors ?? [])
    .filter(({ pointer }) => pointer.startsWith("/rows/"))
    .map((fault) => faultAt(fault, rows));
}

function Faults({ faults }: { faults: RowFault[] }) {
  return (
    <div role="alert">
      <SmallTable label="What is wrong with the rows" head={["Line", "Where", "What"]}>
        {faults.map(({ line, place, message }, index) => (
          <tr key={index}>
            <td className="right">{line === 0 ? "" : line}</td>
            <td className="mono">{place}</td>
            <td>{message}</td>
          </tr>
        ))}
      </SmallTable>
    </div>
  );
}

function Outcome({ env, contract, count, rows }: { env: string; contract: string; count: number; rows: number }) {
  return (
    <p role="status">
      {count === 0 ? (
        `Nothing is wrong with the ${counted(rows, "row")}.`
      ) : (
        <>
          {counted(count, "dataset")} registered; each is in stock once its service has confirmed it.{" "}
          <Link to="/env/$env/datasets" params={{ env }} search={{ contract }}>
            See what becomes of them
          </Link>
        </>
      )}
    </p>
  );
}

function Preview({ rows }: { rows: Row[] }) {
  return (
    <SmallTable label="The first rows" head={["Line", "Input", "Output"]}>
      {rows.slice(0, PREVIEW_ROWS).map(({ line, input, output }) => (
        <tr key={line}>
          <td className="right">{line}</td>
          <td className="mono">{shown(input)}</td>
          <td className="mono">{shown(output)}</td>
        </tr>
      ))}
      {rows.length > PREVIEW_ROWS && (
        <tr>
          <td colSpan={3} className="dim">
            and {counted(rows.length - PREVIEW_ROWS, "row")} more
          </td>
        </tr>
      )}
    </SmallTable>
  );
}

/** The first line of a table for this contract. */
function example(contract: Contract): string {
  const names = (side: "input" | "output") => {
    const schema = contract[side] as JsonSchema;
    return propertiesOf(resolved(schema, schema), schema).map(({ name }) => `${side}.${name}`);
  };
  return [...names("input"), ...names("output")].join(",");
}

/** Only what one service makes, and knows by a key, can be imported. */
export function isImportable(contract: Contract): boolean {
  const schema = contract.output as JsonSchema;
  const keys = propertiesOf(resolved(schema, schema), schema).filter(({ schema }) => "x-entity" in schema);
  return contract.kind === "capability" && keys.length > 0;
}
