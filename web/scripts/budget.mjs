/** Fails the build when the first load of any page is larger than promised. */
import { readFileSync, readdirSync, statSync } from "node:fs";

/** JavaScript of the first load, compressed: what a slow mobile line fetches in about a second. */
const FIRST_LOAD_BYTES = 250 * 1024;
/** Any later part; a page that needs more is split. */
const PART_BYTES = 150 * 1024;

const html = readFileSync("dist/index.html", "utf8");
const first = [...html.matchAll(/(?:src|href)="\/(assets\/[^"]+\.js)"/g)].map((match) => match[1]);
const size = (name) => statSync(`dist/${name}.gz`, { throwIfNoEntry: false })?.size ?? statSync(`dist/${name}`).size;
const kib = (bytes) => `${(bytes / 1024).toFixed(1)} KiB`;
const total = first.reduce((sum, name) => sum + size(name), 0);
const parts = readdirSync("dist/assets").filter((name) => name.endsWith(".js") && !first.includes(`assets/${name}`));
const large = parts.filter((name) => size(`assets/${name}`) > PART_BYTES);
console.log(`first load: ${kib(total)} of JavaScript compressed, ${kib(FIRST_LOAD_BYTES)} at most`);
if (total > FIRST_LOAD_BYTES || large.length > 0) {
    console.error(`over the budget: ${[...(total > FIRST_LOAD_BYTES ? first : []), ...large].join(", ")}`);
    process.exit(1);
}
