/** Taking a token back, once somebody has read what that means. */
import { Button } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { api, body } from "~/api/client";
import type { Token } from "~/api/schema";
import { Dialog } from "~/components/Dialog";
import { ProblemView } from "~/components/Problem";

export function RevokeToken({ token, onClose }: { token: Token | undefined; onClose: () => void }) {
  const client = useQueryClient();
  const revoke = useMutation({
    mutationFn: (id: string) => body(api.DELETE("/v1/tokens/{id}", { params: { path: { id } } })),
    onSuccess: async () => {
      onClose();
      await client.invalidateQueries({ queryKey: ["tokens"] });
    },
  });
  return (
    <Dialog opened={token !== undefined} onClose={onClose} title={`Take ${token?.name ?? "it"} back?`}>
      <div className="stack">
        <p>
          Whoever uses it is refused within seconds, browsers that signed in with it are signed out, and its suppliers
          go offline.
        </p>
        {revoke.isError && <ProblemView error={revoke.error} />}
        <div className="row">
          <Button color="red" loading={revoke.isPending} onClick={() => token !== undefined && revoke.mutate(token.id)}>
            Take it back
          </Button>
          <Button variant="default" onClick={onClose}>
            Leave it
          </Button>
        </div>
      </div>
    </Dialog>
  );
}
