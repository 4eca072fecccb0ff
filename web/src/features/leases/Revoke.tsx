/** Taking a lease away from whoever holds it, with the reason that they read. */
import { Button, TextInput } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { api, body } from "~/api/client";
import type { Lease } from "~/api/schema";
import { Dialog } from "~/components/Dialog";
import { ProblemView } from "~/components/Problem";

interface RevokeProps {
  lease: Lease;
  opened: boolean;
  onClose: () => void;
  onRevoked: (lease: Lease) => void;
}

export function Revoke({ lease, opened, onClose, onRevoked }: RevokeProps) {
  const [reason, setReason] = useState("");
  const revoke = useMutation({
    mutationFn: () =>
      body(api.POST("/v1/leases/{id}/revoke", { params: { path: { id: lease.id } }, body: { reason: reason.trim() } })),
    onSuccess: (revoked) => {
      onRevoked(revoked);
      onClose();
    },
  });
  return (
    <Dialog opened={opened} onClose={onClose} title="Take it away">
      <form
        className="stack"
        onSubmit={(event) => {
          event.preventDefault();
          revoke.mutate();
        }}
      >
        <p>
          The lease of {lease.holder} ends at once, and the data is undone. For owners of a part of it, and for
          administrators.
        </p>
        <TextInput
          label="Why, for whoever holds it"
          placeholder="billing is migrated at noon; ask #billing"
          required
          maxLength={500}
          data-autofocus
          value={reason}
          onChange={(event) => setReason(event.currentTarget.value)}
        />
        {revoke.isError && <ProblemView error={revoke.error} />}
        <div>
          <Button type="submit" color="red" loading={revoke.isPending} disabled={reason.trim() === ""}>
            Revoke it
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
