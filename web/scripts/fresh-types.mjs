/** Fails when the types of the API are not those of `api/openapi.json`; `npm run types` writes them anew. */
import { execFileSync } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";

const { scripts } = JSON.parse(readFileSync("package.json", "utf8"));
const out = `${tmpdir()}/sixpack-types-${process.pid}.d.ts`;
const [program, ...flags] = scripts.types.replace(/-o \S+/, `-o ${out}`).split(" ");
execFileSync(`node_modules/.bin/${program}`, flags, { stdio: ["ignore", "ignore", "inherit"] });
const fresh = readFileSync(out, "utf8") === readFileSync("src/api/schema.d.ts", "utf8");
rmSync(out);
if (!fresh) {
    console.error("src/api/schema.d.ts is not what api/openapi.json says: run `npm run types`");
    process.exit(1);
}
