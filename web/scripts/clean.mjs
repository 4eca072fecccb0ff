/** Empties `dist` but for the file that keeps the folder in every clone. */
import { readdirSync, rmSync } from "node:fs";

for (const name of readdirSync("dist")) {
    if (!name.startsWith(".")) rmSync(`dist/${name}`, { recursive: true });
}
