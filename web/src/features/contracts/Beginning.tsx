/** What an empty catalogue says: how to get something into it. */
import { Snippet } from "~/components/Copy";
import { Empty } from "~/components/States";

export function Beginning({ env, filtered }: { env: string; filtered: boolean }) {
  if (filtered) return <Empty title="Nothing fits">Take a word or a filter away.</Empty>;
  const commands = [
    "# a supplier, beside the service whose states it makes (Rust; any language with an HTTP client will do)",
    `SIXPACK_URL=${location.origin} SIXPACK_TOKEN=… SIXPACK_ENVIRONMENT=${env} cargo run`,
    "",
    "# a scenario that composes what suppliers publish",
    `sixpack apply --environment ${env} -f scenarios/`,
  ].join("\n");
  return (
    <Empty title={`Nothing can be requested in ${env} yet`}>
      <p>Contracts appear here as soon as a supplier connects. Start one, or apply a scenario:</p>
      <Snippet text={commands} what="commands to begin with" />
    </Empty>
  );
}
