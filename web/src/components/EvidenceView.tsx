/** Evidence: what each service said about its part when it was last asked, with the facts it read back. */
import type { Evidence } from "~/api/schema";
import { counted } from "~/lib/words";
import { SmallTable } from "./Panel";
import { Pill, Status } from "./Status";
import { Time } from "./Time";
import { JsonOf } from "./Values";
import { ContractLink } from "./links";

export function EvidenceView({ env, evidence }: { env: string; evidence: Evidence }) {
  return (
    <div className="stack">
      <p className="row">
        <Status word={evidence.verdict} />
        <span className="dim">
          {evidence.checked} of {counted(evidence.of, "part")} can be checked
          {evidence.checked_at !== undefined && (
            <>
              {" "}
              · asked <Time at={evidence.checked_at} />
            </>
          )}
        </span>
      </p>
      {evidence.parts.length > 0 && (
        <SmallTable stacks label="What each service says" head={["Part", "Verdict", "Facts", "Asked", "By"]}>
          {evidence.parts.map((part) => (
            <tr key={part.path}>
              <td>
                {part.path === "" ? "all of it" : part.path}
                <br />
                <ContractLink env={env} name={part.contract} version={part.version} />
              </td>
              <td>
                <span className="row">
                  <Status word={part.verdict} />
                  {part.stale === true && <Pill tone="warn">stale</Pill>}
                </span>
                {part.message}
              </td>
              <td>
                <JsonOf
                  env={env}
                  contract={part.contract}
                  version={part.version}
                  part="facts"
                  value={part.facts}
                  label={`facts of ${part.path}`}
                />
              </td>
              <td>
                {part.checked_at === undefined ? <span className="dim">never</span> : <Time at={part.checked_at} />}
              </td>
              <td className="dim">{[part.instance, part.build].filter(Boolean).join(" · ")}</td>
            </tr>
          ))}
        </SmallTable>
      )}
      {evidence.invariants !== undefined && evidence.invariants.length > 0 && (
        <ul className="stack" style={{ gap: 4 }} aria-label="Invariants">
          {evidence.invariants.map((invariant) => (
            <li key={invariant.says} className="row">
              <Status word={invariant.held ? "valid" : "invalid"} /> {invariant.says}
              {invariant.outdated === true && <Pill tone="warn">outdated</Pill>}
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}
