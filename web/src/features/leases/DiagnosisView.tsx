/** A diagnosis: what was known at hand-over and what holds now, side by side, the verdict first. */
import { useQuery } from "@tanstack/react-query";
import { contract as contractQuery } from "~/api/queries";
import type { Diagnosis, Difference as FactDifference, PartDiagnosis } from "~/api/schema";
import { CopyButton } from "~/components/Copy";
import { OwnerLine } from "~/components/Owner";
import { Panel, SmallTable } from "~/components/Panel";
import { Status } from "~/components/Status";
import { Time } from "~/components/Time";
import { Told } from "~/components/Told";
import { JsonOf } from "~/components/Values";
import { ContractLink } from "~/components/links";
import { shown } from "~/lib/exact";
import type { JsonSchema } from "~/lib/schema";
import { COVER, secretAt } from "~/lib/secrets";

interface DifferenceProps {
  env: string;
  difference: FactDifference;
  part: PartDiagnosis | undefined;
}

const VERDICTS: Record<string, string> = {
  still_valid: "The data still holds: look at the product, or at the test.",
  changed: "The data has changed under your lease.",
  check_failed: "Nobody can tell: a check itself fails.",
};

export function DiagnosisView({ env, diagnosis }: { env: string; diagnosis: Diagnosis }) {
  const { first, differences } = diagnosis;
  return (
    <Panel
      title={
        <span className="row" role="status">
          Diagnosis <Status word={diagnosis.verdict} />
        </span>
      }
      actions={
        <CopyButton value={diagnosis.message} what="the diagnosis">
          Copy
        </CopyButton>
      }
    >
      <div className="stack">
        <p>
          <strong>{VERDICTS[diagnosis.verdict]}</strong>
          <br />
          <Told text={diagnosis.message} />
        </p>
        {first !== undefined && (
          <p>
            First: <ContractLink env={env} name={first.contract} version={first.version} /> ·{" "}
            <OwnerLine owner={first.owner} />
          </p>
        )}
        {differences.length > 0 && (
          <SmallTable label="What is different" head={["Part", "Fact", "At hand-over", "Now"]}>
            {differences.map((each) => (
              <Difference
                key={`${each.path}${each.pointer}`}
                env={env}
                difference={each}
                part={diagnosis.parts.find(({ path }) => path === each.path)}
              />
            ))}
          </SmallTable>
        )}
        <SmallTable label="Each part, then and now" head={["Part", "State", "At hand-over", "Now", "Owner"]}>
          {diagnosis.parts.map((part) => (
            <Part key={part.path} env={env} part={part} />
          ))}
        </SmallTable>
        {diagnosis.invariants?.map((invariant) => (
          <p key={`${invariant.path}${invariant.says}`} className="row">
            <Status word={invariant.held ? "valid" : "invalid"} /> {invariant.message ?? invariant.says}
          </p>
        ))}
        <p className="dim">
          Handed over <Time at={diagnosis.handed_over_at} absolute />, asked{" "}
          <Time at={diagnosis.diagnosed_at} absolute />; {diagnosis.checked} of {diagnosis.of} parts can be checked.
        </p>
      </div>
    </Panel>
  );
}

/** A fact that differs; a secret one is only said to. */
function Difference({ env, difference, part }: DifferenceProps) {
  const { path, pointer, before, after } = difference;
  const query = useQuery({
    ...contractQuery(env, part?.contract ?? "", part === undefined ? {} : { version: part.version }),
    enabled: part !== undefined,
  });
  const schema = query.data?.facts as JsonSchema | undefined;
  const secret = !query.isSuccess || (schema !== undefined && secretAt(schema, schema, pointer));
  return (
    <tr>
      <td>{path}</td>
      <td className="mono">{pointer}</td>
      <td className="mono">{secret ? COVER : shown(before)}</td>
      <td className="mono">
        <strong>{secret ? COVER : shown(after)}</strong>
      </td>
    </tr>
  );
}

function Part({ env, part }: { env: string; part: PartDiagnosis }) {
  return (
    <tr>
      <td>{part.path === "" ? "all of it" : part.path}</td>
      <td>
        <Status word={part.state} />
      </td>
      {([part.then, part.now] as const).map((known, index) => (
        <td key={index}>
          <Status word={known.verdict} />
          {known.message !== undefined && (
            <p>
              <Told text={known.message} />
            </p>
          )}
          <JsonOf
            env={env}
            contract={part.contract}
            version={part.version}
            part="facts"
            value={known.facts}
            label={`${part.path}, ${index === 0 ? "then" : "now"}`}
          />
        </td>
      ))}
      <td>
        <OwnerLine owner={part.owner} />
      </td>
    </tr>
  );
}
