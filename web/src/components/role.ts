/** What whoever is signed in may do: what they may not is not offered, and the server refuses it anyway. */
import { useQuery } from "@tanstack/react-query";
import { signIn } from "~/api/queries";

/** Why somebody may not publish; nothing for those who may. */
export function useMayNotPublish(): string | undefined {
  const role = useQuery(signIn).data?.role;
  return role === "consumer" ? "This is for suppliers of the domain and for administrators." : undefined;
}
