/** What few requests need: which of what is in stock, how fresh its evidence has to be, and how long it may take. */
import { Button, Checkbox, NativeSelect } from "@mantine/core";
import { useState } from "react";
import { faultsUnder } from "~/api/problem";
import type { Contract } from "~/api/schema";
import { Icon } from "~/components/Icon";
import css from "~/components/form/SchemaForm.module.css";
import { SchemaForm } from "~/components/form/SchemaForm";
import { propertiesOf, resolved, type JsonSchema } from "~/lib/schema";
import type { Draft } from "./wish";

const TIMES = [
  { value: "60", label: "1 minute" },
  { value: "300", label: "5 minutes" },
  { value: "1800", label: "30 minutes" },
  { value: "14400", label: "4 hours" },
  { value: "86400", label: "a day" },
];

interface MoreOptionsProps {
  contract: Contract;
  draft: Draft;
  onDraft: (draft: Draft) => void;
  error: unknown;
}

export function MoreOptions({ contract, draft, onDraft, error }: MoreOptionsProps) {
  const [opened, setOpened] = useState(false);
  const choosing = selectable(contract.output as JsonSchema);
  const ranking = without(contract.input as JsonSchema, Object.keys(draft.input));
  // Nothing can be chosen among what is made, or what its service has.
  const fromStock = draft.source === "stock_first" || draft.source === "stock_only";
  return (
    <div>
      <Button
        size="compact-sm"
        variant="subtle"
        ml={-8}
        aria-expanded={opened}
        rightSection={<Icon name={opened ? "up" : "down"} size={14} />}
        onClick={() => setOpened(!opened)}
      >
        More options
      </Button>
      {opened && (
        <div className="stack" style={{ paddingTop: 8 }}>
          {fromStock && choosing !== undefined && (
            <fieldset className={css["set"]}>
              <legend>Only from stock, with this output</legend>
              <SchemaForm
                schema={choosing}
                value={draft.select}
                onChange={(select) => onDraft({ ...draft, select })}
                faults={faultsUnder(error, "/select")}
                what="criterion"
              />
            </fieldset>
          )}
          {fromStock && ranking !== undefined && (
            <fieldset className={css["set"]}>
              <legend>Rather with this input, if it is in stock</legend>
              <SchemaForm
                schema={ranking}
                value={draft.prefer}
                onChange={(prefer) => onDraft({ ...draft, prefer })}
                faults={faultsUnder(error, "/prefer")}
                what="preference"
              />
            </fieldset>
          )}
          <div className="row" style={{ alignItems: "flex-end", gap: 12 }}>
            <NativeSelect
              label="It may take"
              value={String(draft.timeout_s)}
              data={TIMES}
              onChange={(event) => onDraft({ ...draft, timeout_s: Number(event.currentTarget.value) })}
            />
            {fromStock && (
              <Checkbox
                label="Only with evidence that is fresh"
                description="While a service cannot be asked, it waits"
                checked={draft.fresh}
                onChange={(event) => onDraft({ ...draft, fresh: event.currentTarget.checked })}
              />
            )}
          </div>
        </div>
      )}
    </div>
  );
}

/** The part of a schema that stock can be chosen by; nothing when there is none. */
export function selectable(schema: JsonSchema): JsonSchema | undefined {
  const chosen = propertiesOf(resolved(schema, schema), schema).filter((each) => each.schema["x-selectable"] === true);
  return chosen.length === 0
    ? undefined
    : optional(
        schema,
        chosen.map(({ name, schema }) => [name, schema]),
      );
}

/** The properties that are not given yet, each of which may be left out. */
export function without(schema: JsonSchema, given: string[]): JsonSchema | undefined {
  const left = propertiesOf(resolved(schema, schema), schema).filter(({ name }) => !given.includes(name));
  return left.length === 0
    ? undefined
    : optional(
        schema,
        left.map(({ name, schema }) => [name, bare(schema)]),
      );
}

/** What is left out here is no wish, whatever the contract takes it for. */
function bare(schema: JsonSchema): JsonSchema {
  return Object.fromEntries(Object.entries(schema).filter(([name]) => name !== "default"));
}

function optional(root: JsonSchema, properties: [string, JsonSchema][]): JsonSchema {
  const { $defs, definitions } = root;
  const beside = { ...($defs === undefined ? {} : { $defs }), ...(definitions === undefined ? {} : { definitions }) };
  return { ...beside, type: "object", properties: Object.fromEntries(properties) };
}
