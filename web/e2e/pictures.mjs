/** Takes the pictures of the documents anew, from the real pages: `npm run pictures -- FOLDER-OF-PROGRAMS`. */
import { openTab, picture, startBrowser } from "./browser.mjs";
import { startLandscape } from "./landscape.mjs";

const [programs = new URL("../../target/debug", import.meta.url).pathname] = process.argv.slice(2);
const FOLDER = new URL("../../docs/pictures", import.meta.url).pathname;
const READY = "checkout/ready-customer";

const landscape = await startLandscape(programs);
const browser = await startBrowser();
try {
    const { page } = await openTab(browser, { baseURL: landscape.url, viewport: { width: 1280, height: 720 } });
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
    await page.getByText("customer/active-cus").first().waitFor();
    await picture(page, FOLDER, "failed-request");

    const made = await request({ country: "FR" }, { source: "fresh" });
    const [lease] = made.leases;
    await landscape.drift("billing", { account_id: lease.dataset.output.account_id });
    await page.goto(`/env/default/leases/${lease.id}`);
    await page.getByRole("button", { name: "Diagnose" }).click();
    await page.getByRole("row", { name: /payment \/status OPEN CLOSED/ }).waitFor();
    await picture(page, FOLDER, "diagnosis");

    await page.goto("/env/default/contracts");
    await page.getByText("2 / 2").waitFor();
    await page.getByRole("link", { name: READY }).waitFor();
    await page.getByText("%").first().waitFor();
    await picture(page, FOLDER, "catalogue");
} finally {
    await browser.close();
    await landscape.stop();
}
