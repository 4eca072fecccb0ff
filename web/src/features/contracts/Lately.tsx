/** How a contract has been doing: how long it takes, how many succeed, what failed and for what, and its last requests. */
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { contractStatistics, requests } from "~/api/queries";
import type { ContractStatistics, FailureCause } from "~/api/schema";
import { OwnerLine } from "~/components/Owner";
import { Facts, Panel, SmallTable } from "~/components/Panel";
import { ProblemView } from "~/components/Problem";
import { Empty, Loading, Read } from "~/components/States";
import { Status } from "~/components/Status";
import { Time, Took } from "~/components/Time";
import { CauseLink, ContractLink, RequestLink } from "~/components/links";
import { spread, successOf } from "~/lib/doing";
import { counted, words } from "~/lib/words";

export function Lately({ env, contract }: { env: string; contract: string }) {
  const query = useQuery(contractStatistics(env, contract));
  return (
    <div className="stack">
      <Read query={query} rows={4}>
        {(told) => (
          <div className="stack">
            <Numbers told={told} />
            <Panel title="Failures by cause">
              {told.failures === undefined || told.failures.length === 0 ? (
                <p className="dim">None of them failed.</p>
              ) : (
                <Causes env={env} causes={told.failures} />
              )}
            </Panel>
          </div>
        )}
      </Read>
      <LastRequests env={env} contract={contract} />
    </div>
  );
}

function Numbers({ told }: { told: ContractStatistics }) {
  const { requests, datasets } = told;
  const success = successOf(told);
  const since = requests.since ?? datasets.since;
  return (
    <Panel title="How it has been doing">
      {since === undefined ? (
        <p className="dim">Nobody has asked for it yet.</p>
      ) : (
        <Facts
          of={[
            [
              "Succeeded",
              success &&
                `${success.made} of the last ${counted(success.tried, success.of.slice(0, -1))} (${success.percent} %)`,
            ],
            ["From stock", hits(told)],
            ["Waited, from stock", requests.from_stock_ms && spread(requests.from_stock_ms)],
            ["Waited, made", requests.made_ms && spread(requests.made_ms)],
            ["Making one takes", datasets.made_ms && spread(datasets.made_ms)],
            ["Datasets", `${datasets.made} made, ${datasets.failed} failed`],
            ["Called off", requests.cancelled > 0 && counted(requests.cancelled, "request")],
            ["Counted since", <Time at={since} />],
          ]}
        />
      )}
    </Panel>
  );
}

function hits({ requests: { fulfilled, from_stock } }: ContractStatistics): string | undefined {
  if (fulfilled === 0) return undefined;
  return `${from_stock} of ${fulfilled} (${Math.round((100 * from_stock) / fulfilled)} %)`;
}

function Causes({ env, causes }: { env: string; causes: FailureCause[] }) {
  return (
    <SmallTable label="Failures by cause" head={["How often", "Whose", "Why", "Owner", "Last"]}>
      {causes.map((cause) => (
        <tr key={`${cause.contract} ${cause.class} ${cause.code ?? cause.message}`}>
          <td className="right">{cause.count}</td>
          <td>
            <ContractLink env={env} name={cause.contract} />
          </td>
          <td>
            {cause.message} <span className="dim">· {words(cause.class)}</span>
          </td>
          <td>
            <OwnerLine owner={cause.owner} />
          </td>
          <td>
            <CauseLink env={env} cause={cause}>
              <Time at={cause.last_at} />
            </CauseLink>
          </td>
        </tr>
      ))}
    </SmallTable>
  );
}

function LastRequests({ env, contract }: { env: string; contract: string }) {
  const query = useInfiniteQuery(requests(env, { contract, refills: false }));
  const last = query.data?.pages[0]?.items;
  return (
    <Panel
      title="The last requests"
      actions={
        <Link to="/env/$env/requests" params={{ env }} search={{ contract }}>
          all of them
        </Link>
      }
    >
      {last === undefined ? (
        query.isError ? (
          <ProblemView error={query.error} retry={() => void query.refetch()} />
        ) : (
          <Loading />
        )
      ) : last.length === 0 ? (
        <Empty title="Nobody has asked for it by its name yet" />
      ) : (
        <SmallTable label="The last requests" head={["Request", "State", "For whom", "When", "Took"]}>
          {last.slice(0, 20).map((request) => (
            <tr key={request.id}>
              <td>
                <RequestLink env={env} id={request.id} />
              </td>
              <td>
                <Status word={request.status} />
              </td>
              <td>{request.holder}</td>
              <td>
                <Time at={request.created_at} />
              </td>
              <td>
                <Took from={request.created_at} to={request.ended_at} />
              </td>
            </tr>
          ))}
        </SmallTable>
      )}
    </Panel>
  );
}
