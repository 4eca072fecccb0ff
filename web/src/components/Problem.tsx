/** The one place where a refusal is told: what happened, where, and what to do about it. */
import { Alert, Button } from "@mantine/core";
import { asProblem } from "~/api/problem";
import type { ProblemFault } from "~/api/schema";
import { OwnerLine } from "./Owner";

interface ProblemProps {
  error: unknown;
  retry?: (() => unknown) | undefined;
  /** Faults that are shown where they belong, and not here once more. */
  besides?: (fault: ProblemFault) => boolean;
}

export function ProblemView({ error, retry, besides }: ProblemProps) {
  const { problem, status } = asProblem(error);
  const faults = (problem.errors ?? []).filter((fault) => besides?.(fault) !== true);
  const starved = problem.stock?.starved ?? problem.stock?.doubted;
  return (
    <Alert color="red" variant="light" title={problem.title} role="alert">
      <div className="stack" style={{ gap: 8 }}>
        <p>{problem.detail}</p>
        {faults.length > 0 && (
          <ul className="stack" style={{ gap: 4 }}>
            {faults.map((fault, index) => (
              <li key={index}>
                <FaultLine fault={fault} />
              </li>
            ))}
          </ul>
        )}
        {starved !== undefined && (
          <p>
            {starved.message} <OwnerLine owner={starved.owner} />
          </p>
        )}
        <div className="row dim">
          {status > 0 && (
            <a href={`/docs/errors#${problem.code}`} target="_blank" rel="noreferrer">
              {problem.code}
            </a>
          )}
          {problem.request_id !== undefined && <span className="mono">call {problem.request_id}</span>}
          {retry !== undefined && (
            <Button size="compact-xs" variant="default" onClick={() => void retry()}>
              Try again
            </Button>
          )}
        </div>
      </div>
    </Alert>
  );
}

function FaultLine({ fault }: { fault: ProblemFault }) {
  const place =
    fault.line !== undefined
      ? `${fault.file ?? "line"} ${fault.line}:${fault.column ?? 1}`
      : fault.pointer || undefined;
  return (
    <>
      {place !== undefined && <code>{place}</code>} {fault.message}
      {fault.hint !== undefined && <span className="dim"> · {fault.hint}</span>}
    </>
  );
}
