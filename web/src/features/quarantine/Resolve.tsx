/** Deciding about a dataset in quarantine, with the reason that everybody reads afterwards. */
import { Button, Radio, TextInput } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api, body } from "~/api/client";
import type { QuarantinedDataset } from "~/api/schema";
import { Dialog } from "~/components/Dialog";
import { ProblemView } from "~/components/Problem";

const WAYS = [
  {
    value: "retry",
    label: "Ask all services again",
    description: "Back into stock if all agree, back here if one does not.",
  },
  { value: "return", label: "Back into stock unasked", description: "Somebody knows better than the check." },
  { value: "undo", label: "Undo it", description: "Everything is removed, newest first." },
  {
    value: "discard",
    label: "Forget it as it is",
    description: "Nothing is undone; what is left in services is looked after elsewhere.",
  },
] as const;

type Way = (typeof WAYS)[number]["value"];

export function Resolve({ dataset, onClose }: { dataset: QuarantinedDataset | undefined; onClose: () => void }) {
  const client = useQueryClient();
  const [resolution, setResolution] = useState<Way>("retry");
  const [reason, setReason] = useState("");
  const resolve = useMutation({
    mutationFn: (id: string) =>
      body(
        api.POST("/v1/datasets/{id}/resolve", {
          params: { path: { id } },
          body: { resolution, reason: reason.trim() },
        }),
      ),
    onSuccess: async () => {
      onClose();
      setReason("");
      await client.invalidateQueries({ queryKey: ["quarantine"] });
    },
  });
  return (
    <Dialog
      opened={dataset !== undefined}
      onClose={onClose}
      title={dataset === undefined ? "" : `Decide about ${dataset.contract}`}
    >
      {dataset !== undefined && (
        <form
          className="stack"
          onSubmit={(event) => {
            event.preventDefault();
            resolve.mutate(dataset.dataset_id);
          }}
        >
          {dataset.drifted !== undefined && <p>{dataset.drifted.message}</p>}
          <Radio.Group label="What shall become of it?" value={resolution} onChange={(way) => setResolution(way)}>
            <div className="stack" style={{ marginTop: 8 }}>
              {WAYS.map((way) => (
                <Radio key={way.value} {...way} />
              ))}
            </div>
          </Radio.Group>
          <TextInput
            label="Why"
            required
            maxLength={500}
            value={reason}
            onChange={(event) => setReason(event.currentTarget.value)}
          />
          {resolve.isError && <ProblemView error={resolve.error} />}
          <div>
            <Button type="submit" loading={resolve.isPending} disabled={reason.trim() === ""}>
              Decide
            </Button>
          </div>
        </form>
      )}
    </Dialog>
  );
}
