/** All that happened to a dataset, in the words of the events. */
import { Button } from "@mantine/core";
import { useState } from "react";
import type { TimelineEntry } from "~/api/schema";
import { SmallTable } from "~/components/Panel";
import { Time } from "~/components/Time";
import { ContractLink, LeaseLink } from "~/components/links";
import { span } from "~/lib/times";
import { words } from "~/lib/words";

/** What is shown before somebody asks for all. */
const FIRST = 100;

export function Timeline({ env, entries }: { env: string; entries: TimelineEntry[] }) {
  const [all, setAll] = useState(false);
  const shown = all ? entries : entries.slice(0, FIRST);
  if (entries.length === 0) return <p className="dim">Nothing is told of it.</p>;
  return (
    <>
      <SmallTable label="All that happened" head={["When", "What", "Part", "Took", "Remark"]}>
        {shown.map((entry, index) => (
          <tr key={index}>
            <td>
              <Time at={entry.at} absolute />
            </td>
            <td className="mono nowrap">{entry.kind}</td>
            <td>{entry.path}</td>
            <td className="nowrap">{entry.duration_ms === undefined ? "" : span(entry.duration_ms)}</td>
            <td>
              <span className="row">
                {[
                  entry.operation,
                  entry.attempt !== undefined && `attempt ${entry.attempt}`,
                  entry.class && words(entry.class),
                  entry.code,
                ]
                  .filter(Boolean)
                  .join(" · ")}
                {entry.contract !== undefined && (
                  <ContractLink env={env} name={entry.contract} version={entry.version} />
                )}
                {entry.lease_id !== undefined && <LeaseLink env={env} id={entry.lease_id} />}
                {entry.message !== "" && <span>{entry.message}</span>}
              </span>
            </td>
          </tr>
        ))}
      </SmallTable>
      {!all && entries.length > FIRST && (
        <Button size="compact-xs" variant="default" onClick={() => setAll(true)}>
          All {entries.length}
        </Button>
      )}
    </>
  );
}
