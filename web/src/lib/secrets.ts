/** Secrets inside of payloads, as the schemas mark them: covered until somebody wants to see them. */
import { isRecord } from "./exact";
import { resolved, type JsonSchema } from "./schema";

export const COVER = "••••••••";

/** A schema that is nested deeper is taken to hold secrets: covering too much does no harm. */
const DEPTH_MAX = 12;

/** Whether anything that a schema describes is a secret. */
export function hasSecret(schema: unknown, root: JsonSchema, depth = 0): boolean {
  if (depth > DEPTH_MAX) return true;
  const own = resolved(schema, root);
  return own["x-secret"] === true || inside(own).some((each) => hasSecret(each, root, depth + 1));
}

/** The value with everything covered that is a secret. */
export function covered(value: unknown, schema: unknown, root: JsonSchema): unknown {
  const own = resolved(schema, root);
  if (!hasSecret(own, root)) return value;
  const properties = isRecord(own["properties"]) ? own["properties"] : undefined;
  if (own["x-secret"] === true || properties === undefined || !isRecord(value)) {
    return Array.isArray(value) && own["x-secret"] !== true && own["items"] !== undefined
      ? value.map((each) => covered(each, own["items"], root))
      : COVER;
  }
  return Object.fromEntries(
    Object.entries(value).map(([name, each]) => {
      // What is not declared is not known to be harmless where secrets are.
      const known = Object.hasOwn(properties, name) ? properties[name] : (own["additionalProperties"] ?? {});
      return [name, covered(each, known, root)];
    }),
  );
}

/** Whether the value at a JSON Pointer is a secret, or holds one. */
export function secretAt(schema: unknown, root: JsonSchema, pointer: string): boolean {
  let own = resolved(schema, root);
  for (const part of pointer.split("/").slice(1)) {
    if (own["x-secret"] === true) return true;
    const name = part.replaceAll("~1", "/").replaceAll("~0", "~");
    const properties = isRecord(own["properties"]) ? own["properties"] : {};
    own = resolved(Object.hasOwn(properties, name) ? properties[name] : own["items"], root);
  }
  return hasSecret(own, root);
}

/** Schemas that a schema is made of. */
function inside(schema: JsonSchema): unknown[] {
  const lists = ["oneOf", "anyOf", "allOf", "prefixItems"].flatMap((name) => {
    const list = schema[name];
    return Array.isArray(list) ? (list as unknown[]) : [];
  });
  const maps = ["properties", "patternProperties"].flatMap((name) => {
    const map = schema[name];
    return isRecord(map) ? Object.values(map) : [];
  });
  const single = ["items", "additionalProperties", "then", "else"].map((name) => schema[name]).filter(isRecord);
  return [...lists, ...maps, ...single];
}
