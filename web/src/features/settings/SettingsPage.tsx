/** Settings: who I am here, the environments, and the tokens that open this server. */
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { asProblem } from "~/api/problem";
import { environments, limits, signIn, tokens, version } from "~/api/queries";
import type { Token } from "~/api/schema";
import { Button, Progress } from "@mantine/core";
import { Facts, Page, Panel, SmallTable } from "~/components/Panel";
import { ProblemView } from "~/components/Problem";
import { Loading, Read } from "~/components/States";
import { Status } from "~/components/Status";
import { Time } from "~/components/Time";
import { useNow } from "~/components/now";
import { lastEnvironment } from "~/lib/env";
import { span } from "~/lib/times";
import { NewToken } from "./NewToken";
import { RevokeToken } from "./RevokeToken";

export function SettingsPage() {
  const who = useQuery(signIn);
  return (
    <Page title="Settings" name="Settings">
      <div className="columns">
        <Panel title="You">
          <Read query={who} rows={3}>
            {(me) => (
              <Facts
                of={[
                  ["Signed in as", me.name],
                  ["Role", me.role],
                  ["Environment", me.environment],
                  ["Domain", me.domain],
                ]}
              />
            )}
          </Read>
        </Panel>
        <Server />
      </div>
      <Environments />
      <Limits />
      {who.data?.role === "admin" ? (
        <Tokens />
      ) : (
        <Panel title="Tokens">
          <p className="dim">Administrators make tokens and take them back.</p>
        </Panel>
      )}
    </Page>
  );
}

function Server() {
  const query = useQuery(version);
  return (
    <Panel title="Server">
      <Read query={query} rows={2}>
        {({ version, commit }) => (
          <Facts
            of={[
              ["Version", version],
              ["Commit", commit],
              ["API", <a href="/openapi.json">OpenAPI document</a>],
              ["Errors", <a href="/docs/errors">what each code means</a>],
            ]}
          />
        )}
      </Read>
    </Panel>
  );
}

function Environments() {
  const query = useQuery(environments);
  return (
    <Panel title="Environments">
      <Read query={query}>
        {({ items }) =>
          items.length === 0 ? (
            <p className="dim">
              One appears with the first supplier, or with the first scenario that is applied to it.
            </p>
          ) : (
            <SmallTable
              label="Environments"
              head={["Environment", "Contracts", "Live suppliers", "Held leases", "Undos that wait", "Since"]}
            >
              {items.map((environment) => (
                <tr key={environment.name}>
                  <td>
                    <Link to="/env/$env/contracts" params={{ env: environment.name }}>
                      {environment.name}
                    </Link>
                  </td>
                  <td>{environment.contracts}</td>
                  <td>{environment.sessions}</td>
                  <td>{environment.leases}</td>
                  <td>{environment.waiting_undos}</td>
                  <td>
                    <Time at={environment.created_at} />
                  </td>
                </tr>
              ))}
            </SmallTable>
          )
        }
      </Read>
    </Panel>
  );
}

/** What one may have in the environment that was looked at last. */
function Limits() {
  const names = useQuery(environments).data?.items.map(({ name }) => name) ?? [];
  const last = lastEnvironment();
  const env = last !== undefined && names.includes(last) ? last : names[0];
  return env === undefined ? null : <LimitsOf env={env} />;
}

function LimitsOf({ env }: { env: string }) {
  const query = useQuery(limits(env));
  // It comes into being with its first supplier or scenario, and its limits with it.
  if (query.isError && asProblem(query.error).code === "environment_not_found") return null;
  return (
    <Panel title={`Limits in ${env}`}>
      <Read query={query} rows={4}>
        {({ leases, offline_grace_s, retention }) => (
          <Facts
            of={[
              ["Your leases", <Taken of={leases.of_token} label="Leases of your token" />],
              ["Everybody's leases", <Taken of={leases.of_environment} label="Leases of the environment" />],
              ["Waits for a supplier", span(offline_grace_s * 1000)],
              ["Ended data is kept", kept(retention.datasets_s)],
              ["Events are kept", kept(retention.events_s)],
              ["Ended sessions are kept", kept(retention.sessions_s)],
            ]}
          />
        )}
      </Read>
    </Panel>
  );
}

function Taken({ of, label }: { of: { taken: number; limit: number }; label: string }) {
  return (
    <span className="row">
      {of.taken.toLocaleString()} <span className="dim">of {of.limit.toLocaleString()}</span>
      <Progress w={120} value={Math.min(100, (100 * of.taken) / of.limit)} aria-label={label} />
    </span>
  );
}

const kept = (seconds: number | undefined) => (seconds === undefined ? "for ever" : span(seconds * 1000));

function Tokens() {
  const query = useInfiniteQuery(tokens);
  const [making, setMaking] = useState(false);
  const [revoking, setRevoking] = useState<Token>();
  const now = useNow();
  const all = query.data?.pages.flatMap(({ items }) => items);
  return (
    <Panel
      title="Tokens"
      actions={
        <Button size="compact-sm" onClick={() => setMaking(true)}>
          New token
        </Button>
      }
    >
      {all === undefined ? (
        query.isError ? (
          <ProblemView error={query.error} retry={query.refetch} />
        ) : (
          <Loading />
        )
      ) : (
        <SmallTable label="Tokens" head={["Name", "Role", "Good for", "State", "Last used", "Ends", "Made", "Action"]}>
          {all.map((token) => {
            const state = stateOf(token, now);
            return (
              <tr key={token.id}>
                <td>{token.name}</td>
                <td>{token.role}</td>
                <td>{[token.environment, token.domain].filter(Boolean).join(", ") || "everything"}</td>
                <td>
                  <Status word={state} />
                </td>
                <td>
                  {token.last_used_at === undefined ? (
                    <span className="dim">never</span>
                  ) : (
                    <Time at={token.last_used_at} />
                  )}
                </td>
                <td>
                  {token.expires_at === undefined ? <span className="dim">never</span> : <Time at={token.expires_at} />}
                </td>
                <td>
                  <Time at={token.created_at} />
                </td>
                <td>
                  {state === "active" && (
                    <Button
                      size="compact-xs"
                      variant="default"
                      aria-label={`Take back ${token.name}`}
                      onClick={() => setRevoking(token)}
                    >
                      Take back
                    </Button>
                  )}
                </td>
              </tr>
            );
          })}
        </SmallTable>
      )}
      {query.hasNextPage && (
        <Button
          size="compact-xs"
          variant="default"
          loading={query.isFetchingNextPage}
          onClick={() => void query.fetchNextPage()}
        >
          More
        </Button>
      )}
      <NewToken opened={making} onClose={() => setMaking(false)} />
      <RevokeToken token={revoking} onClose={() => setRevoking(undefined)} />
    </Panel>
  );
}

export function stateOf(token: Token, now: number): "revoked" | "expired" | "active" {
  if (token.revoked_at !== undefined) return "revoked";
  return token.expires_at !== undefined && Date.parse(token.expires_at) <= now ? "expired" : "active";
}
