/** Takes the pictures of the documents anew, from the real pages: `npm run pictures -- FOLDER-OF-PROGRAMS`. */
import { openTab, picture, startBrowser } from "./browser.mjs";
import { startLandscape } from "./landscape.mjs";

const [programs = new URL("../../target/debug", import.meta.url).pathname] = process.argv.slice(2);
const FOLDER = new URL("../../docs/pictures", import.meta.url).pathname;
const READY = "checkout/ready-customer";
const ENVIRONMENT = "/v1/environments/default";
const RULE = "ready-customer-fr";
const SIZE = { width: 1280, height: 720 };

/** What a server notes of the rule over a day, for which no picture can wait: a quiet night, and a morning that asks for more than is ready. */
function aDay() {
    const every = 300;
    const spans = Array.from({ length: 288 }, (_, span) => span);
    const begun = Math.floor(Date.now() / 1000 / every) * every - (spans.length - 1) * every;
    const rush = (span) => Math.abs(span - 140) < 20;
    const asked = (span) => (rush(span) ? 2 : span > 90 && span % 12 < 3 ? 1 : 0);
    const target = spans.map((span) => (span < 262 ? 4 : 6));
    const ready = spans.map((span) =>
        rush(span) ? Math.round(Math.abs(span - 140) / 5) : span < 263 ? 4 - asked(span) : 6,
    );
    return {
        name: RULE,
        contract: READY,
        since: new Date(begun * 1000).toISOString(),
        every_s: every,
        ready,
        coming: ready.map(() => 0),
        target,
        hits: spans.map((span) => (ready[span] > 0 ? asked(span) : 0)),
        misses: spans.map((span) => (ready[span] > 0 ? 0 : asked(span))),
        made: spans.map(asked),
        failed: spans.map((span) => (span === 140 ? 2 : 0)),
    };
}

/** A rule that has done all day what the history says. */
function allDay(rule, day) {
    const sum = (name) => day[name].reduce((total, each) => total + each, 0);
    const [hits, misses, made, failed] = ["hits", "misses", "made", "failed"].map(sum);
    return { ...rule, stock: { ...rule.stock, hits, misses, made, failed } };
}

/** Takes a picture once nothing moves any more that was only to move for a moment. */
async function take(page, name) {
    await page.mouse.move(0, 0);
    // As a function: a text would be evaluated, which the policy of the page does not allow.
    await page.waitForFunction(() =>
        document
            .getAnimations()
            .every(({ effect, playState }) => playState !== "running" || effect.getTiming().iterations === Infinity),
    );
    await picture(page, FOLDER, name);
}

const landscape = await startLandscape(programs);
const browser = await startBrowser();
try {
    const { page } = await openTab(browser, { baseURL: landscape.url, viewport: SIZE });
    await page.goto(`/sign-in#${landscape.token}`);
    await page.waitForURL(/\/env\//);
    const request = (input, more = {}) =>
        landscape.api("POST", "/v1/requests?wait_s=60", { contract: READY, input, ...more });
    for (const country of ["FR", "CZ", "DE"]) await request({ country }, { source: "fresh" });
    const reject = {
        mode: "reject",
        only: "accounts",
        code: "credit_check_failed",
        message: "the credit check says no",
    };
    await landscape.fault("billing", reject);
    const failed = await request({ country: "CZ" }, { source: "fresh" });
    await landscape.fault("billing", { mode: "none" });
    await page.goto(`/env/default/requests/${failed.id}`);
    await page.getByRole("heading", { name: "Billing: the credit check says no" }).waitFor();
    await page.locator(".react-flow__node").getByText("order/prepared-order").waitFor();
    await take(page, "failed-request");

    const made = await request({ country: "FR" }, { source: "fresh" });
    const [lease] = made.leases;
    await landscape.drift("billing", { account_id: lease.dataset.output.account_id });
    await page.goto(`/env/default/leases/${lease.id}`);
    await page.getByRole("button", { name: "Diagnose" }).click();
    await page.getByRole("row", { name: /payment \/status OPEN CLOSED/ }).waitFor();
    await take(page, "diagnosis");

    await page.goto("/env/default/contracts");
    await page.getByText("2 / 2").waitFor();
    await page.getByRole("link", { name: READY }).waitFor();
    await page.getByText("%").first().waitFor();
    await take(page, "catalogue");

    await landscape.api("PATCH", `${ENVIRONMENT}/stock-rules/${RULE}`, { target: 6 });
    const rules = () => landscape.api("GET", `${ENVIRONMENT}/stock-rules`);
    while ((await rules()).items[0].stock.ready < 6) await page.waitForTimeout(200);
    const day = aDay();
    await page.route("**/stock-history?*", (route) => route.fulfill({ json: { items: [day] } }));
    await page.route("**/stock-rules?*", async (route) => {
        const { items } = await rules();
        await route.fulfill({ json: { items: items.map((rule) => allDay(rule, day)) } });
    });
    await page.goto("/env/default/stock");
    await page.getByText("6 ready of 6").waitFor();
    await page.locator(".uplot canvas").waitFor();
    await page.setViewportSize({ width: 1280, height: 420 });
    await take(page, "stock");
    await page.setViewportSize(SIZE);

    const { items: inStock } = await landscape.api("GET", `/v1/datasets?contract=${READY}&status=ready`);
    await landscape.drift("billing", { account_id: inStock.at(-1).output.account_id });
    for (let asked = 0; asked < 6; asked += 1) await request({ country: "FR" });
    const { leases: unwanted } = await request({ country: "DE" }, { source: "fresh" });
    await landscape.fault("billing", { mode: "down", message: "billing is down for maintenance" });
    await landscape.api("POST", `/v1/leases/${unwanted[0].id}/revoke`, { reason: "the test run was called off" });
    await page.goto("/env/default/quarantine");
    await page.getByRole("button", { name: /^Decide about/ }).waitFor();
    await page.getByRole("button", { name: /^Resolve payment/ }).click();
    await landscape.fault("billing", { mode: "none" });
    await page.getByLabel("What has become of it").fill("closed by hand in the console of billing");
    await page.getByRole("dialog").getByText("account_id").waitFor();
    await take(page, "debt");
} finally {
    await browser.close();
    await landscape.stop();
}
