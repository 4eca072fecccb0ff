/** How a contract has been doing: what its last requests came to, how long they took, and what failed. */
import { useInfiniteQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { requests } from "~/api/queries";
import { OwnerLine } from "~/components/Owner";
import { Facts, Panel, SmallTable } from "~/components/Panel";
import { ProblemView } from "~/components/Problem";
import { Empty, Loading } from "~/components/States";
import { Status } from "~/components/Status";
import { Time, Took } from "~/components/Time";
import { RequestLink } from "~/components/links";
import { causesOf, doingOf } from "~/lib/lately";
import { span } from "~/lib/times";
import { words } from "~/lib/words";

export function Lately({ env, contract }: { env: string; contract: string }) {
  const query = useInfiniteQuery(requests(env, { contract, refills: false }));
  const last = query.data?.pages[0]?.items;
  if (last === undefined)
    return query.isError ? <ProblemView error={query.error} retry={query.refetch} /> : <Loading />;
  if (last.length === 0)
    return (
      <Panel title="Lately">
        <Empty title="Nobody has asked for it yet" />
      </Panel>
    );
  const { made, tried, took } = doingOf(last);
  const causes = causesOf(last);
  return (
    <div className="stack">
      <div className="columns">
        <Panel title={`Of the last ${last.length} requests`}>
          <Facts
            of={[
              [
                "Fulfilled",
                tried === 0
                  ? undefined
                  : `${made} of ${tried} that came to an end (${Math.round((100 * made) / tried)} %)`,
              ],
              ["Half of them within", took === undefined ? undefined : span(took)],
              ["Still going on", last.filter(({ ended_at }) => ended_at === undefined).length || undefined],
            ]}
          />
        </Panel>
        <Panel title="Failures by cause">
          {causes.length === 0 ? (
            <p className="dim">None of them failed.</p>
          ) : (
            <SmallTable label="Failures by cause" head={["How often", "Where", "Why", "Owner", "Last"]}>
              {causes.map(({ failure, count, last: latest }) => (
                <tr key={`${failure.path} ${failure.class} ${failure.code ?? ""}`}>
                  <td className="right">{count}</td>
                  <td>{failure.path}</td>
                  <td>
                    <Status word="failed" title={words(failure.class)} /> {failure.message}
                  </td>
                  <td>
                    <OwnerLine owner={failure.owner} />
                  </td>
                  <td>
                    <RequestLink env={env} id={latest.id}>
                      <Time at={latest.ended_at ?? latest.created_at} />
                    </RequestLink>
                  </td>
                </tr>
              ))}
            </SmallTable>
          )}
        </Panel>
      </div>
      <Panel
        title="The last requests"
        actions={
          <Link to="/env/$env/requests" params={{ env }} search={{ contract }}>
            all of them
          </Link>
        }
      >
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
      </Panel>
    </div>
  );
}
