/** The things in services that a dataset owns, each leading to everything else that has to do with it. */
import { Link } from "@tanstack/react-router";
import { isRecord, shown } from "~/lib/exact";

export function EntityLinks({ env, schema, output }: { env: string; schema: unknown; output: unknown }) {
  const entities = entitiesOf(schema, output);
  if (entities.length === 0) return null;
  return (
    <p className="row" style={{ marginTop: 10 }}>
      <span className="dim">Who else uses</span>
      {entities.map((entity) => (
        <Link
          key={entity}
          to="/env/$env/datasets"
          params={{ env }}
          search={{ entity }}
          style={{ overflowWrap: "anywhere" }}
        >
          {entity}
        </Link>
      ))}
    </p>
  );
}

/** `kind:key` of the outermost properties that are marked as keys. */
export function entitiesOf(schema: unknown, output: unknown): string[] {
  const properties = isRecord(schema) && isRecord(schema["properties"]) ? schema["properties"] : {};
  if (!isRecord(output)) return [];
  return Object.entries(properties).flatMap(([name, each]) => {
    const kind = isRecord(each) ? each["x-entity"] : undefined;
    const key = output[name];
    return typeof kind === "string" && (typeof key === "string" || typeof key === "number")
      ? [`${kind}:${shown(key)}`]
      : [];
  });
}
