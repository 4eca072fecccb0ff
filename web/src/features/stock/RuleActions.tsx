/** What can be done with a stock rule while it is at work: another target, a pause, a drain, the end. */
import { Button, Menu } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api, body } from "~/api/client";
import { stockRules } from "~/api/queries";
import type { EditStockRule, StockRule } from "~/api/schema";
import { Dialog } from "~/components/Dialog";
import { ProblemView } from "~/components/Problem";
import { useMayNotPublish } from "~/components/role";
import { Count } from "~/components/form/Count";

export function RuleActions({ env, rule }: { env: string; rule: StockRule }) {
  const client = useQueryClient();
  const [target, setTarget] = useState<number>();
  const [deleting, setDeleting] = useState(false);
  const mayNot = useMayNotPublish();
  const path = { env, name: rule.name };
  const done = () => client.invalidateQueries({ queryKey: stockRules(env).queryKey });
  const edit = useMutation({
    mutationFn: (change: EditStockRule) =>
      body(api.PATCH("/v1/environments/{env}/stock-rules/{name}", { params: { path }, body: change })),
    onSuccess: async () => {
      setTarget(undefined);
      await done();
    },
  });
  const remove = useMutation({
    mutationFn: () => body(api.DELETE("/v1/environments/{env}/stock-rules/{name}", { params: { path } })),
    onSuccess: async () => {
      setDeleting(false);
      await done();
    },
  });
  return (
    <>
      <Button
        size="compact-sm"
        variant="default"
        disabled={mayNot !== undefined}
        title={mayNot}
        onClick={() => setTarget(rule.target)}
        aria-label={`Change target of ${rule.name}`}
      >
        Change target
      </Button>
      <Menu position="bottom-end">
        <Menu.Target>
          <Button size="compact-sm" variant="default" loading={edit.isPending} aria-label={`More for ${rule.name}`}>
            More
          </Button>
        </Menu.Target>
        <Menu.Dropdown>
          {rule.state !== "active" && (
            <Menu.Item onClick={() => edit.mutate({ state: "active" })}>Resume: refill it</Menu.Item>
          )}
          {rule.state !== "paused" && (
            <Menu.Item onClick={() => edit.mutate({ state: "paused" })}>Pause: keep what is there</Menu.Item>
          )}
          {rule.state !== "draining" && (
            <Menu.Item onClick={() => edit.mutate({ state: "draining" })}>Drain: undo what is there</Menu.Item>
          )}
          <Menu.Item color="red" onClick={() => setDeleting(true)}>
            Delete the rule
          </Menu.Item>
        </Menu.Dropdown>
      </Menu>
      {edit.isError && <ProblemView error={edit.error} />}
      <Dialog opened={target !== undefined} onClose={() => setTarget(undefined)} title={`Target of ${rule.name}`}>
        <form
          className="stack"
          onSubmit={(event) => {
            event.preventDefault();
            if (target !== undefined) edit.mutate({ target });
          }}
        >
          <Count
            label="Datasets kept ready"
            max={100_000}
            data-autofocus
            value={target ?? rule.target}
            onChange={(value) => setTarget(value)}
          />
          {edit.isError && <ProblemView error={edit.error} />}
          <div>
            <Button type="submit" loading={edit.isPending}>
              Keep {target ?? rule.target} ready
            </Button>
          </div>
        </form>
      </Dialog>
      <Dialog opened={deleting} onClose={() => setDeleting(false)} title={`Delete ${rule.name}?`}>
        <div className="stack">
          <p>What it keeps is undone, unless another rule keeps the same.</p>
          {remove.isError && <ProblemView error={remove.error} />}
          <div className="row">
            <Button color="red" loading={remove.isPending} onClick={() => remove.mutate()}>
              Delete it
            </Button>
            <Button variant="default" onClick={() => setDeleting(false)}>
              Keep it
            </Button>
          </div>
        </div>
      </Dialog>
    </>
  );
}
