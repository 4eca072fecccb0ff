/** Links to the things of an environment, each written the same way everywhere. */
import { Link } from "@tanstack/react-router";
import type { FailureCause } from "~/api/schema";

interface ToContract {
  env: string;
  name: string;
  version?: number | undefined;
  /** Marks the link that stands for its row. */
  row?: boolean;
}

const mark = (row: boolean | undefined) => (row === true ? { "data-row-link": "" } : {});

export function ContractLink({ env, name, version, row }: ToContract) {
  const [domain = "", last = ""] = name.split("/");
  return (
    <Link to="/env/$env/contracts/$domain/$name" params={{ env, domain, name: last }} {...mark(row)}>
      {name}
      {version !== undefined && <span className="dim">@{version}</span>}
    </Link>
  );
}

interface ToThing {
  env: string;
  id: string;
  children?: React.ReactNode;
  row?: boolean;
}

export function RequestLink({ env, id, children, row }: ToThing) {
  return (
    <Link to="/env/$env/requests/$id" params={{ env, id }} {...mark(row)}>
      {children ?? <Id id={id} />}
    </Link>
  );
}

export function LeaseLink({ env, id, children, row }: ToThing) {
  return (
    <Link to="/env/$env/leases/$id" params={{ env, id }} {...mark(row)}>
      {children ?? <Id id={id} />}
    </Link>
  );
}

export function DatasetLink({ env, id, children, row }: ToThing) {
  return (
    <Link to="/env/$env/datasets/$id" params={{ env, id }} {...mark(row)}>
      {children ?? <Id id={id} />}
    </Link>
  );
}

interface ToCause {
  env: string;
  cause: FailureCause;
  children: React.ReactNode;
}

/** Where the newest failure of a kind can be looked at. */
export function CauseLink({ env, cause, children }: ToCause) {
  if (cause.request_id !== undefined) return <RequestLink env={env} id={cause.request_id} children={children} />;
  if (cause.dataset_id !== undefined) return <DatasetLink env={env} id={cause.dataset_id} children={children} />;
  return children;
}

/** An id that keeps its kind and its end, by which people tell them apart; the whole of it on hover. */
export function Id({ id }: { id: string }) {
  const [kind = "", ...rest] = id.split("_");
  const name = rest.join("_");
  return (
    <span className="mono nowrap" title={id}>
      {name.length > 12 ? `${kind}_…${name.slice(-8)}` : id}
    </span>
  );
}
