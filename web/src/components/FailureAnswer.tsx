/** A failure, the answer first: what failed, whose it is, why, since when and how often, and what to do. */
import type { Failure, Lately } from "~/api/schema";
import { CopyButton } from "~/components/Copy";
import { OwnerLine } from "~/components/Owner";
import { Facts, Panel } from "~/components/Panel";
import { Time } from "~/components/Time";
import { ContractLink } from "~/components/links";
import { pretty } from "~/lib/exact";
import { utc } from "~/lib/times";
import { CLASSES, counted, words } from "~/lib/words";

interface FailureAnswerProps {
  env: string;
  failure: Failure;
  /** What is copied with it, so that the owner finds it. */
  reference: string;
}

export function FailureAnswer({ env, failure, reference }: FailureAnswerProps) {
  const about = CLASSES[failure.class];
  const { undo } = failure;
  return (
    <Panel
      title={
        <span style={{ color: "var(--sp-bad)" }}>
          {failure.owner.team}: {failure.message}
        </span>
      }
      actions={
        <CopyButton value={asText(failure, reference)} what="the failure, to be sent to its owner">
          Copy for the owner
        </CopyButton>
      }
    >
      <div className="stack">
        <p>
          {about?.means ?? words(failure.class)} <strong>{about?.next ?? ""}</strong>
        </p>
        <Facts
          of={[
            ["Where", <span className="mono">{failure.path}</span>],
            ["Capability", <ContractLink env={env} name={failure.contract} version={failure.version} />],
            ["Ask", <OwnerLine owner={failure.owner} />],
            ["Class", failure.code === undefined ? words(failure.class) : `${words(failure.class)} · ${failure.code}`],
            ["Attempts", failure.attempts],
            [
              "Lately",
              failure.lately !== undefined && (
                <>
                  {failure.lately.failures} of {failure.lately.of} failed since{" "}
                  <Time at={failure.lately.since} absolute />
                  {failure.lately.first_failed_at !== undefined && (
                    <>
                      , the first one begun <Time at={failure.lately.first_failed_at} />
                    </>
                  )}
                </>
              ),
            ],
            [
              "Made anew",
              failure.retried?.map(({ path, attempts }) => `${path} (${counted(attempts, "attempt")})`).join(", "),
            ],
            ["Never begun", failure.blocked.join(", ")],
            ["Undone", undo.done.join(", ")],
            ["Being undone", undo.pending.join(", ")],
            ["Left behind", undo.debts.join(", ")],
            ["Details", failure.details !== undefined && <pre>{pretty(failure.details)}</pre>],
          ]}
        />
      </div>
    </Panel>
  );
}

function first({ first_failed_at: at }: Lately): string {
  return at === undefined ? "" : `, the first one begun at ${utc(at)}`;
}

/** The same as a message. */
export function asText(failure: Failure, reference: string): string {
  const { owner, lately } = failure;
  return [
    `${failure.path} failed: ${failure.message}`,
    `class: ${failure.class}${failure.code === undefined ? "" : ` (${failure.code})`}, attempts: ${failure.attempts}`,
    `owner: ${[owner.team, owner.contact, owner.issues].filter(Boolean).join(", ")}`,
    ...(lately === undefined
      ? []
      : [`lately: ${lately.failures} of ${lately.of} since ${utc(lately.since)}${first(lately)}`]),
    ...(failure.details === undefined ? [] : [`details: ${JSON.stringify(failure.details)}`]),
    reference,
  ].join("\n");
}
