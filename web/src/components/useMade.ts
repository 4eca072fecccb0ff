/** Requests that a page makes by a button: repeated clicks make one, and the page of the request follows. */
import { useMutation } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { api, body } from "~/api/client";
import { newKey } from "~/lib/ids";

/** Asks for a dataset once more: the same version, input and seed. */
export function useRerun(env: string) {
  const navigate = useNavigate();
  return useMutation({
    mutationFn: (dataset: string) =>
      body(
        api.POST("/v1/requests", {
          body: { rerun_of: dataset, priority: "person" },
          params: { header: { "Idempotency-Key": newKey() } },
        }),
      ),
    onSuccess: (made) => navigate({ to: "/env/$env/requests/$id", params: { env, id: made.id } }),
  });
}
