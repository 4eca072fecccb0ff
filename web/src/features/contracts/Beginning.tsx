/** What an empty catalogue says: how to get something into it. */
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { environments } from "~/api/queries";
import { Snippet } from "~/components/Copy";
import { Empty } from "~/components/States";

/** Other environments that are named; the header has all. */
const MOST = 10;

export function Beginning({ env, filtered }: { env: string; filtered: boolean }) {
  const there = useQuery(environments).data?.items ?? [];
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
      {there.length > 0 && there.every(({ name }) => name !== env) && (
        <p className="row">
          There is no environment {env} yet. There is already:
          {there.slice(0, MOST).map(({ name }) => (
            <Link key={name} to="/env/$env/contracts" params={{ env: name }}>
              {name}
            </Link>
          ))}
        </p>
      )}
    </Empty>
  );
}
