/** The versions of a contract: what each has changed, and what that means for whoever uses it. */
import type { Contract } from "~/api/schema";
import { Panel, SmallTable } from "~/components/Panel";
import { Status } from "~/components/Status";
import { Time } from "~/components/Time";

export function Versions({ contract }: { contract: Contract }) {
  return (
    <Panel title="Versions">
      <SmallTable label="Versions" head={["Version", "Verdict", "Since", "Live sessions", "What is different"]}>
        {contract.versions.map((version) => (
          <tr key={version.version}>
            <td>@{version.version}</td>
            <td>
              <Status word={version.change} />
            </td>
            <td>
              <Time at={version.created_at} />
            </td>
            <td>{version.sessions ?? ""}</td>
            <td>
              {version.changes.length === 0 ? (
                <span className="dim">
                  {version.change === "new" ? "the first" : "nothing that a user could notice"}
                </span>
              ) : (
                <ul>
                  {version.changes.map((change) => (
                    <li key={`${change.pointer} ${change.message}`}>
                      <code>{change.pointer}</code> {change.message}
                    </li>
                  ))}
                </ul>
              )}
            </td>
          </tr>
        ))}
      </SmallTable>
    </Panel>
  );
}
