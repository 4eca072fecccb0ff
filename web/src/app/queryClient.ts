/** What is known of the server, and how long it is believed. */
import { MutationCache, QueryCache, QueryClient } from "@tanstack/react-query";
import { ApiProblem } from "~/api/problem";

/** Events tell what changes; this is for what no event tells. */
const BELIEVED_MS = 30_000;

export function createQueryClient(onSignedOut: () => void): QueryClient {
  const look = (error: unknown) => {
    if (error instanceof ApiProblem && error.status === 401) onSignedOut();
  };
  return new QueryClient({
    queryCache: new QueryCache({
      // Whether somebody is signed in at all is the router's question, before any page is shown.
      onError: (error, query) => {
        if (query.queryKey[0] !== "sign-in" || query.state.data !== undefined) look(error);
      },
    }),
    mutationCache: new MutationCache({ onError: look }),
    defaultOptions: {
      queries: {
        staleTime: BELIEVED_MS,
        // What was refused is refused again; what did not get through may.
        retry: (failures, error) =>
          failures < 2 && error instanceof ApiProblem && (error.status === 0 || error.status >= 502),
      },
    },
  });
}
