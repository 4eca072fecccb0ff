/** The system's Chromium, and what is asked of every page in it. */
import { readFileSync, existsSync, mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const PLACES = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const PATIENCE_MS = 30_000;

export async function startBrowser() {
    const executablePath = process.env.CHROMIUM ?? PLACES.find((place) => existsSync(place));
    if (executablePath === undefined)
        throw new Error("there is no Chromium: install `chromium`, or name one in CHROMIUM");
    // Root, as whom build servers run, has no sandbox to give away; every page here is our own.
    return chromium.launch({ executablePath, args: ["--no-sandbox"] });
}

/** A tab whose complaints are kept: errors of scripts, of the console, and reports of the page's policy. */
export async function openTab(browser, options = {}) {
    const context = await browser.newContext({ viewport: { width: 1360, height: 860 }, ...options });
    await context.grantPermissions(["clipboard-read", "clipboard-write"]);
    const page = await context.newPage();
    page.setDefaultTimeout(PATIENCE_MS);
    const complaints = [];
    const foreign = [];
    page.on("console", (message) => {
        if (message.type() === "error") complaints.push(message.text());
    });
    page.on("pageerror", (error) => complaints.push(String(error)));
    page.on("request", (request) => foreign.push(new URL(request.url()).host));
    return { page, complaints, hosts: () => [...new Set(foreign)], close: () => context.close() };
}

/** What axe finds wrong. It is put in by the debugger, because the policy of the page lets no script in. */
export async function violations(page) {
    const debugging = await page.context().newCDPSession(page);
    await debugging.send("Runtime.evaluate", { expression: AXE });
    const found = await debugging.send("Runtime.evaluate", {
        expression:
            "axe.run().then(({ violations }) => violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 200)).join(' | ')}`))",
        awaitPromise: true,
        returnByValue: true,
    });
    await debugging.detach();
    return found.result.value;
}

/** Keeps a picture of the page. */
export async function picture(page, folder, name) {
    mkdirSync(folder, { recursive: true });
    await page.screenshot({ path: `${folder}/${name}.png` });
}
