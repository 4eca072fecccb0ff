/** Tries the pages out in a browser, before the real programs: `npm run e2e -- FOLDER-OF-PROGRAMS`. */
import { openTab, picture, startBrowser } from "./browser.mjs";
import { JOURNEYS, inspect, pagesOf } from "./journeys.mjs";
import { startLandscape } from "./landscape.mjs";

const [programs = new URL("../../target/debug", import.meta.url).pathname, only = ""] = process.argv.slice(2);
/** Kept for whoever wants to look. */
const PICTURES = `${programs}/pages`;
/** How a page is looked at: as on a desk, at night, and on the smallest telephone. */
const LOOKS = [
    { name: "light", colorScheme: "light", viewport: { width: 1360, height: 860 } },
    { name: "dark", colorScheme: "dark", viewport: { width: 1360, height: 860 } },
    { name: "narrow", colorScheme: "light", viewport: { width: 360, height: 740 } },
];

/** So much of a page is told when something on it has failed, in characters. */
const TOLD_MAX = 6_000;

const counts = { passed: 0, failed: 0 };

/** Runs one attempt in a tab; what the browser complains of fails it, unless it is forgiven. */
async function attempt(name, tab, run, forgiven = () => false) {
    if (!name.includes(only)) return;
    const begun = performance.now();
    let failure;
    try {
        await run();
    } catch (error) {
        failure = error?.stack ?? String(error);
    }
    // In either case, so that the next attempt is not blamed for them.
    const complaints = tab.complaints.splice(0).filter((complaint) => !forgiven(complaint));
    if (failure === undefined && complaints.length === 0) {
        counts.passed += 1;
        console.log(`ok      ${name} (${((performance.now() - begun) / 1000).toFixed(1)} s)`);
        return;
    }
    counts.failed += 1;
    console.log(`FAILED  ${name}\n${failure ?? ""}`);
    if (complaints.length > 0) console.log(`the browser complains:\n${complaints.join("\n")}`);
    console.log(await whatIsSeen(tab.page).catch((why) => `what is seen cannot be told: ${why}`));
    await picture(tab.page, `${PICTURES}/failed`, name.replaceAll(/\W+/g, "-"));
}

/** The page as a screen reader would tell it, because nobody keeps the picture of a run far away. */
async function whatIsSeen(page) {
    const told = await page.locator("body").ariaSnapshot({ timeout: 5_000 });
    return `${page.url()}\n${told.slice(0, TOLD_MAX)}`;
}

const landscape = await startLandscape(programs);
const browser = await startBrowser();
try {
    const tab = await openTab(browser, { baseURL: landscape.url });
    await tab.page.goto(`/sign-in#${landscape.token}`);
    await tab.page.waitForURL(/\/env\//);
    for (const [name, journey] of Object.entries(JOURNEYS)) {
        await attempt(name, tab, () => journey({ ...tab, landscape }));
    }
    await attempt("nothing is asked of another host", tab, () => {
        const [own, ...others] = tab.hosts();
        if (own !== new URL(landscape.url).host || others.length > 0) throw new Error(`${own}, ${others.join(", ")}`);
    });
    const state = await tab.page.context().storageState();
    await tab.close();
    const pages = only === "" || "pages".includes(only) ? await pagesOf(landscape) : [];
    for (const { name: look, ...options } of LOOKS) {
        const seen = await openTab(browser, { baseURL: landscape.url, storageState: state, ...options });
        for (const [name, address] of pages) {
            const folder = look === "narrow" ? undefined : `${PICTURES}/${look}`;
            await attempt(
                `pages: ${name}, ${look}`,
                seen,
                () => inspect(seen.page, name, address, folder),
                (complaint) => name === "catalogue-empty" && complaint.includes("404"),
            );
        }
        await seen.close();
    }
} finally {
    await browser.close();
    await landscape.stop();
}
// In the words in which cargo counts, because the same eyes read it.
console.log(
    `test result: ${counts.failed === 0 ? "ok" : "FAILED"}. ${counts.passed} passed; ${counts.failed} failed; 0 ignored`,
);
process.exit(counts.failed === 0 ? 0 : 1);
