/** The versions of a contract: what each has changed, and what that means for whoever uses it. */
import { Link } from "@tanstack/react-router";
import type { Contract } from "~/api/schema";
import { Panel, SmallTable } from "~/components/Panel";
import { Status } from "~/components/Status";
import { Time } from "~/components/Time";

export function Versions({ env, contract }: { env: string; contract: Contract }) {
  const [domain = "", name = ""] = contract.name.split("/");
  return (
    <Panel title="Versions">
      <SmallTable label="Versions" head={["Version", "Verdict", "Since", "Live sessions", "What is different"]}>
        {contract.versions.map((version) => (
          <tr key={version.version}>
            <td>
              <Link
                to="/env/$env/contracts/$domain/$name"
                params={{ env, domain, name }}
                search={{ tab: "schema", version: version.version }}
              >
                @{version.version}
              </Link>
            </td>
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
