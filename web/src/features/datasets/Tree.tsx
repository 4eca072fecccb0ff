/** The parts of a dataset, as deep as they go. */
import type { Dataset } from "~/api/schema";
import { Pill, Status } from "~/components/Status";
import { ContractLink, DatasetLink } from "~/components/links";
import css from "./Tree.module.css";

export function Tree({ env, parts }: { env: string; parts: Dataset[] }) {
  return (
    <ul className={css["tree"]}>
      {parts.map((part) => (
        <li key={part.id}>
          <span className="row">
            <DatasetLink env={env} id={part.id}>
              {part.step ?? part.path}
            </DatasetLink>
            <Status word={part.status} />
            <ContractLink env={env} name={part.contract} version={part.version} />
            {part.from_stock !== undefined && <Pill>from stock</Pill>}
            {part.attempt !== undefined && part.attempt > 1 && <Pill>attempt {part.attempt}</Pill>}
            {part.failure !== undefined && <span style={{ color: "var(--sp-bad)" }}>{part.failure.message}</span>}
          </span>
          {part.parts !== undefined && part.parts.length > 0 && <Tree env={env} parts={part.parts} />}
        </li>
      ))}
    </ul>
  );
}
