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

async function attempt(name, run, page) {
    if (!name.includes(only)) return;
    const begun = performance.now();
    try {
        await run();
        counts.passed += 1;
        console.log(`ok      ${name} (${((performance.now() - begun) / 1000).toFixed(1)} s)`);
    } catch (error) {
        counts.failed += 1;
        console.log(`FAILED  ${name}\n${error?.stack ?? error}`);
        console.log(await whatIsSeen(page).catch((why) => `what is seen cannot be told: ${why}`));
        await picture(page, `${PICTURES}/failed`, name.replaceAll(/\W+/g, "-"));
    }
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
        await attempt(
            name,
            async () => {
                await journey({ ...tab, landscape });
                const complaints = tab.complaints.splice(0);
                if (complaints.length > 0) throw new Error(`the browser complains:\n${complaints.join("\n")}`);
            },
            tab.page,
        );
    }
    await attempt(
        "nothing is asked of another host",
        () => {
            const [own, ...others] = tab.hosts();
            if (own !== new URL(landscape.url).host || others.length > 0)
                throw new Error(`${own}, ${others.join(", ")}`);
        },
        tab.page,
    );
    const state = await tab.page.context().storageState();
    await tab.close();
    const pages = only === "" || "pages".includes(only) ? await pagesOf(landscape) : [];
    for (const { name: look, ...options } of LOOKS) {
        const seen = await openTab(browser, { baseURL: landscape.url, storageState: state, ...options });
        for (const [name, address] of pages) {
            await attempt(
                `pages: ${name}, ${look}`,
                async () => {
                    await inspect(seen.page, name, address, look === "narrow" ? undefined : `${PICTURES}/${look}`);
                    const complaints = seen.complaints
                        .splice(0)
                        .filter((complaint) => !(name === "catalogue-empty" && complaint.includes("404")));
                    if (complaints.length > 0) throw new Error(`the browser complains:\n${complaints.join("\n")}`);
                },
                seen.page,
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
