/** Puts a compressed copy beside every built file that gets smaller by it, for the server to hand out. */
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

for (const name of readdirSync("dist", { recursive: true })) {
    if (!/\.(js|css|html|svg|json|txt)$/.test(name)) continue;
    const plain = readFileSync(`dist/${name}`);
    const small = gzipSync(plain, { level: 9 });
    if (small.length < plain.length * 0.95) writeFileSync(`dist/${name}.gz`, small);
}
