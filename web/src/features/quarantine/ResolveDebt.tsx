/** Saying that somebody has looked after an effect that could not be undone, with what has become of it. */
import { Button, TextInput } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api, body } from "~/api/client";
import type { Debt } from "~/api/schema";
import { Dialog } from "~/components/Dialog";
import { OwnerLine } from "~/components/Owner";
import { ProblemView } from "~/components/Problem";
import { JsonOf } from "~/components/Values";

export function ResolveDebt({ env, debt, onClose }: { env: string; debt: Debt | undefined; onClose: () => void }) {
  const client = useQueryClient();
  const [reason, setReason] = useState("");
  const resolve = useMutation({
    mutationFn: (id: string) =>
      body(api.POST("/v1/debts/{id}/resolve", { params: { path: { id } }, body: { reason: reason.trim() } })),
    onSuccess: async () => {
      onClose();
      setReason("");
      await client.invalidateQueries({ queryKey: ["debts"] });
    },
  });
  return (
    <Dialog opened={debt !== undefined} onClose={onClose} title={debt === undefined ? "" : `Resolve ${debt.path}`}>
      {debt !== undefined && (
        <form
          className="stack"
          onSubmit={(event) => {
            event.preventDefault();
            resolve.mutate(debt.dataset_id);
          }}
        >
          <p>
            {debt.message} · <OwnerLine owner={debt.owner} />
          </p>
          <p className="dim">
            Nothing is asked of a supplier any more: what is left in the service is removed by hand, or may stay.
            Everybody reads afterwards who said so, and why.
          </p>
          {debt.output !== undefined && (
            <JsonOf
              env={env}
              contract={debt.contract}
              version={debt.version}
              part="output"
              value={debt.output}
              label="what is left"
            />
          )}
          <TextInput
            label="What has become of it"
            placeholder="removed in the console"
            data-autofocus
            required
            maxLength={500}
            value={reason}
            onChange={(event) => setReason(event.currentTarget.value)}
          />
          {resolve.isError && <ProblemView error={resolve.error} />}
          <div>
            <Button type="submit" loading={resolve.isPending} disabled={reason.trim() === ""}>
              Resolve it
            </Button>
          </div>
        </form>
      )}
    </Dialog>
  );
}
