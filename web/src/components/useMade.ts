/** Requests that a page makes by a button: repeated clicks make one, and the page of the request follows. */
import { useMutation } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useRef } from "react";
import { api, body } from "~/api/client";
import type { NewRequest, Source } from "~/api/schema";
import { newKey } from "~/lib/ids";

/** Where the data of a request may come from. */
export const SOURCES: { value: Source; label: string }[] = [
  { value: "stock_first", label: "From stock, else made" },
  { value: "stock_only", label: "From stock or not at all" },
  { value: "fresh", label: "Always made" },
];

/** Asks for what was put together in a form, for somebody who may be named. */
export function useRequest(env: string, holder: string) {
  const navigate = useNavigate();
  // One key for one wish: a second click, or a second try after a lost answer, makes no second request.
  const key = useRef<{ of: string; key: string }>(undefined);
  return useMutation({
    mutationFn: (wanted: NewRequest) => {
      const named = holder.trim() === "" ? {} : { holder: holder.trim() };
      const wish = { environment: env, priority: "person" as const, ...wanted, ...named };
      const of = JSON.stringify(wish);
      if (key.current?.of !== of) key.current = { of, key: newKey() };
      return body(api.POST("/v1/requests", { body: wish, params: { header: { "Idempotency-Key": key.current.key } } }));
    },
    onSuccess: (request) => {
      key.current = undefined;
      return navigate({ to: "/env/$env/requests/$id", params: { env, id: request.id } });
    },
  });
}

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
