/** Giving a lease back: how it went decides what becomes of the data. */
import { Button, Radio, Textarea } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { api, body } from "~/api/client";
import type { Lease } from "~/api/schema";
import { Dialog } from "~/components/Dialog";
import { ProblemView } from "~/components/Problem";

const OUTCOMES = [
  { value: "used", label: "Used", description: "It is undone everywhere." },
  { value: "unused", label: "Not used", description: "What came from stock goes back there, if it still holds." },
  { value: "broken", label: "The data was wrong", description: "It is undone; a note helps its owners." },
] as const;

interface ReleaseProps {
  lease: Lease;
  opened: boolean;
  onClose: () => void;
  onReleased: (lease: Lease) => void;
}

export function Release({ lease, opened, onClose, onReleased }: ReleaseProps) {
  const [outcome, setOutcome] = useState<"used" | "unused" | "broken">("used");
  const [note, setNote] = useState("");
  const release = useMutation({
    mutationFn: () =>
      body(
        api.POST("/v1/leases/{id}/release", {
          params: { path: { id: lease.id } },
          body: { fence: lease.fence, outcome, ...(note.trim() === "" ? {} : { note: note.trim() }) },
        }),
      ),
    onSuccess: (released) => {
      onReleased(released);
      onClose();
    },
  });
  return (
    <Dialog opened={opened} onClose={onClose} title="Release">
      <form
        className="stack"
        onSubmit={(event) => {
          event.preventDefault();
          release.mutate();
        }}
      >
        <Radio.Group label="How did it go?" value={outcome} onChange={(chosen) => setOutcome(chosen)}>
          <div className="stack" style={{ marginTop: 8 }}>
            {OUTCOMES.map((each) => (
              <Radio key={each.value} {...each} />
            ))}
          </div>
        </Radio.Group>
        <Textarea
          label="Note"
          maxLength={1000}
          autosize
          minRows={2}
          value={note}
          onChange={(event) => setNote(event.currentTarget.value)}
        />
        {release.isError && <ProblemView error={release.error} />}
        <div className="row">
          <Button type="submit" loading={release.isPending}>
            Release it
          </Button>
          <Button variant="default" onClick={onClose}>
            Keep it
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
