/** What people do with the pages, one after another in one landscape. */
import assert from "node:assert/strict";
import { picture, violations } from "./browser.mjs";

const READY = "/env/default/contracts/checkout/ready-customer";

/** Requests a ready customer by the form; answers when the page of the request says how it ended. */
async function request(page, country, source) {
    await page.goto(READY);
    await page.getByLabel("country").selectOption({ label: country });
    await page.getByLabel("Where from").selectOption(source);
    await page.getByRole("button", { name: "Request it" }).click();
    await page.waitForURL(/\/requests\/req_/);
}

/** Makes a lease without the pages, for what is about something else. */
async function leased({ api }, country) {
    const made = await api("POST", "/v1/requests?wait_s=60", {
        contract: "checkout/ready-customer",
        input: { country },
        source: "fresh",
    });
    assert.equal(made.status, "fulfilled", JSON.stringify(made.failure));
    return made.leases[0];
}

/** The browser writes down every call that is refused or does not get through; here that is meant. */
function forgive(complaints, expected) {
    complaints.splice(0, complaints.length, ...complaints.filter((complaint) => !expected.test(complaint)));
}

/** Waits until a dialog is there as a whole: what is half faded in has no contrast. */
async function opened(page, name) {
    await page.getByRole("dialog", { name }).waitFor();
    await page.waitForFunction(
        () => document.defaultView.getComputedStyle(document.querySelector("[role=dialog]")).opacity === "1",
    );
}

export const JOURNEYS = {
    "a link signs a browser in and the token leaves the address": async ({ page, landscape }) => {
        await page.goto(`/sign-in#${landscape.token}`);
        await page.waitForURL(/\/env\/default\/contracts$/);
        assert.ok(!page.url().includes("sxp_"));
        const cookies = await page.context().cookies();
        assert.ok(cookies.every(({ httpOnly, sameSite }) => httpOnly && sameSite === "Strict"));
        assert.equal(await page.evaluate(() => document.cookie), "");
    },

    "a contract is found, requested with the form, watched until it is there, and an output copied": async ({
        page,
    }) => {
        await page.goto("/env/default/contracts");
        await page.getByLabel("Search the catalogue").fill("place an order, pay");
        await page.getByRole("link", { name: "checkout/ready-customer" }).click();
        await page.getByRole("heading", { name: "Request it" }).waitFor();
        await request(page, "CZ", "fresh");
        await page.getByText(/\d of 4 made/).waitFor();
        await page.getByRole("heading", { name: "What you got" }).waitFor();
        await page.getByRole("button", { name: "Copy customer_id" }).click();
        assert.match(await page.evaluate(() => navigator.clipboard.readText()), /^cus_/);
    },

    "a newcomer gets from the first page to a paid order without typing": async ({ page }) => {
        await page.goto("/");
        await page.getByRole("link", { name: "checkout/ready-customer" }).click();
        await page.getByRole("button", { name: "Request it" }).click();
        await page.getByRole("link", { name: "Open the lease" }).click();
        await page.getByRole("button", { name: "order/paid-order" }).click();
        await page.getByRole("button", { name: "Extend", exact: true }).click();
        await page.getByRole("group", { name: "Extensions" }).getByText("ready").waitFor();
    },

    "stock serves at once": async ({ page, landscape }) => {
        await landscape.api("GET", "/v1/environments/default/stock-rules");
        await page.goto("/env/default/stock");
        await page.getByText("2 ready of 2").waitFor();
        await request(page, "FR", "stock_only");
        await page.getByRole("heading", { name: "What you got" }).waitFor();
    },

    "a lease is diagnosed as valid, and blamed on billing once billing has closed the account": async ({
        page,
        landscape,
    }) => {
        const lease = await leased(landscape, "FR");
        await page.goto(`/env/default/leases/${lease.id}`);
        await page.getByRole("button", { name: "Diagnose" }).click();
        await page.getByText("The data still holds").waitFor();
        await landscape.drift("billing", { account_id: lease.dataset.output.account_id });
        await page.getByRole("button", { name: "Diagnose" }).click();
        await page.getByText("The data has changed under your lease.").waitFor();
        const changed = page.getByRole("group", { name: "What is different" });
        await changed.getByRole("row", { name: /payment \/status OPEN CLOSED/ }).waitFor();
    },

    "a lease is renewed and given back": async ({ page, landscape }) => {
        const lease = await leased(landscape, "DE");
        await page.goto(`/env/default/leases/${lease.id}`);
        await page.getByRole("button", { name: "Renew for 30 min" }).click();
        await page.getByRole("button", { name: "Release" }).click();
        await page.getByLabel("Not used").check();
        await page.getByRole("button", { name: "Release it" }).click();
        await page.getByText("It was released as unused").waitFor();
    },

    "a leased dataset is advanced by one more state": async ({ page, landscape }) => {
        const lease = await leased(landscape, "FR");
        await page.goto(`/env/default/leases/${lease.id}`);
        await page.getByRole("combobox", { name: "Contract" }).fill("order/paid-order");
        await page.keyboard.press("Escape");
        await page.getByRole("button", { name: "Extend" }).click();
        await page.getByRole("group", { name: "Extensions" }).getByText("ready").waitFor();
    },

    "a failure is blamed on billing, in billing's words": async ({ page, landscape }) => {
        await landscape.fault("billing", {
            mode: "reject",
            only: "accounts",
            code: "credit_check_failed",
            message: "the credit check says no",
        });
        await request(page, "CZ", "fresh");
        await page.getByRole("heading", { name: "Billing: the credit check says no" }).waitFor();
        await page.getByText("payment › billing/payment-account@1").waitFor();
        await page.getByRole("button", { name: /^Copy for the owner/ }).click();
        assert.match(await page.evaluate(() => navigator.clipboard.readText()), /owner: Billing, billing@shop\.test/);
        await landscape.fault("billing", { mode: "none" });
        await page.goto(`${READY}?tab=runs`);
        await page.getByRole("group", { name: "Failures by cause" }).getByText("the credit check says no").waitFor();
    },

    "a target is raised, and the stock fills before one's eyes": async ({ page }) => {
        await page.goto("/env/default/stock");
        await page.getByRole("button", { name: "Change target of ready-customer-fr" }).click();
        await page.getByLabel("Datasets kept ready").fill("4");
        await page.getByRole("button", { name: "Keep 4 ready" }).click();
        await page.getByText("4 ready of 4").waitFor();
    },

    "a type error in a scenario is marked where it is, with a hint": async ({ page, complaints }) => {
        await page.goto("/env/default/scenarios?open=checkout%2Fready-customer");
        const editor = page.getByLabel("Text of the scenario");
        await editor.waitFor();
        await page.getByText("It can be applied").waitFor();
        await editor.click();
        await page.keyboard.press("ControlOrMeta+a");
        const text = await editor.innerText();
        await page.keyboard.insertText(
            text.replace('steps.customer.customer_id }}" } }', 'steps.customer.customerid }}" } }'),
        );
        const faults = page.getByRole("group", { name: "Faults" });
        await faults.getByText("there is no field `customerid`").first().waitFor();
        await faults.getByText("did you mean `customer_id`?").first().waitFor();
        await page.locator(".cm-lintRange-error").first().waitFor();
        assert.ok(await page.getByRole("button", { name: "Apply" }).isDisabled());
        forgive(complaints, /422/);
    },

    "a scenario is written, applied and requested": async ({ page, complaints }) => {
        await page.goto("/env/default/scenarios?open=new");
        const editor = page.getByLabel("Text of the scenario");
        await editor.click();
        await page.keyboard.press("ControlOrMeta+a");
        await page.keyboard.insertText(
            'scenario: checkout/by-hand\nowner: { team: Checkout, contact: checkout@shop.test }\ndescription: Written in a browser.\nsteps:\n  customer: { uses: customer/active-customer }\noutput:\n  customer_id: "${{ steps.customer.customer_id }}"\n',
        );
        await page.getByText("It can be applied").waitFor();
        await page.getByRole("button", { name: "Apply" }).click();
        await page.waitForURL(/open=checkout%2Fby-hand/);
        forgive(complaints, /422/);
        await page.goto("/env/default/contracts/checkout/by-hand");
        await page.getByRole("button", { name: "Request it" }).click();
        await page.getByRole("heading", { name: "What you got" }).waitFor();
    },

    "the way to data needs no mouse": async ({ page }) => {
        await page.goto("/env/default/mine");
        await page.getByRole("heading", { name: "My data" }).waitFor();
        await page.keyboard.press("g");
        await page.keyboard.press("c");
        await page.getByLabel("Search the catalogue").waitFor();
        await page.keyboard.type("ready");
        // What is not listed yet looks like what is filtered away: first what is wanted has to be there.
        const wanted = page.getByRole("link", { name: "checkout/ready-customer" });
        await wanted.waitFor();
        await page.getByRole("link", { name: "billing/payment-account" }).waitFor({ state: "detached" });
        await page.keyboard.press("Escape");
        await page.evaluate(() => document.activeElement.blur());
        await page.keyboard.press("j");
        assert.ok(await wanted.evaluate((each) => each === document.activeElement), "j goes to the first row");
        await page.keyboard.press("Enter");
        const button = page.getByRole("button", { name: "Request it" });
        await button.waitFor();
        for (
            let press = 0;
            press < 60 && !(await button.evaluate((each) => each === document.activeElement));
            press += 1
        )
            await page.keyboard.press("Tab");
        await page.keyboard.press("Enter");
        await page.getByRole("heading", { name: "What you got" }).waitFor();
    },

    "the palette and the sheet of keys open over a page, and leave it as it was": async ({ page }) => {
        await page.goto("/env/default/mine");
        const heading = page.getByRole("heading", { name: "My data" });
        await heading.waitFor();
        await page.keyboard.press("ControlOrMeta+k");
        await opened(page, "Find or request anything");
        assert.deepEqual(await violations(page), [], "the palette is accessible");
        await page.keyboard.press("Escape");
        await page.getByRole("dialog").waitFor({ state: "detached" });
        await heading.waitFor();
        await page.keyboard.press("?");
        await opened(page, "Keys");
        assert.deepEqual(await violations(page), [], "the sheet of keys is accessible");
        await page.keyboard.press("Escape");
        await page.getByRole("dialog").waitFor({ state: "detached" });
        await heading.waitFor();
        await page.keyboard.press("ControlOrMeta+k");
        await opened(page, "Find or request anything");
        await page.keyboard.type("ready customer");
        await page.keyboard.press("Enter");
        await page.waitForURL(/\/contracts\/checkout\/ready-customer$/);
        await page.getByRole("heading", { name: "Request it" }).waitFor();
    },

    "a lost connection is told, and caught up with": async ({ page, landscape, complaints }) => {
        await page.goto("/env/default/contracts");
        await page.getByRole("link", { name: "checkout/ready-customer" }).waitFor();
        await landscape.restartServer(() => page.getByText("The connection was lost").waitFor());
        await page.getByText("The connection was lost").waitFor({ state: "detached" });
        await page.getByRole("link", { name: "checkout/ready-customer" }).waitFor();
        forgive(complaints, /ERR_|502|503/);
    },

    "texts of suppliers are never more than texts": async ({ page, landscape }) => {
        const evil = '<img src=x onerror="window.evil=1"><script>window.evil=1</script>';
        await landscape.api("POST", "/v1/sessions", {
            environment: "default",
            domain: "evil",
            instance: "one",
            owner: { team: evil, contact: "javascript:alert(1)" },
            capabilities: [
                {
                    name: "thing",
                    description: evil,
                    input: { type: "object", properties: { [evil]: { type: "string", description: evil } } },
                    output: { type: "object" },
                },
            ],
        });
        await page.goto("/env/default/contracts/evil/thing");
        await page.getByRole("button", { name: "Request it" }).waitFor();
        await page.goto("/env/default/contracts?q=evil");
        await page.getByRole("link", { name: "evil/thing" }).waitFor();
        assert.equal(await page.evaluate(() => window.evil), undefined);
        assert.equal(await page.locator("img[src=x]").count(), 0);
    },
};

/** Every page, in an order in which each has something to show. */
export async function pagesOf({ api }) {
    const made = await api("POST", "/v1/requests?wait_s=60", { contract: "checkout/ready-customer", source: "fresh" });
    const failed = await api("GET", "/v1/requests?status=failed&refills=false");
    const [lease] = made.leases;
    const pages = {
        "sign-in": "/sign-in",
        catalogue: "/env/default/contracts",
        "catalogue-empty": "/env/nothing/contracts",
        contract: READY,
        "contract-schema": `${READY}?tab=schema`,
        "contract-code": `${READY}?tab=code`,
        "contract-graph": `${READY}?tab=graph`,
        "contract-versions": `${READY}?tab=versions`,
        "contract-lately": `${READY}?tab=runs`,
        "contract-import": "/env/default/contracts/customer/active-customer?tab=import",
        requests: "/env/default/requests",
        joint: "/env/default/requests/new?of=customer/active-customer,checkout/ready-customer",
        request: `/env/default/requests/${made.id}`,
        "request-failed": `/env/default/requests/${failed.items[0].id}`,
        lease: `/env/default/leases/${lease.id}`,
        datasets: `/env/default/datasets?entity=customer:${lease.dataset.output.customer_id}`,
        dataset: `/env/default/datasets/${lease.dataset.id}`,
        mine: "/env/default/mine",
        stock: "/env/default/stock",
        suppliers: "/env/default/suppliers",
        landscape: "/env/default/landscape?down=billing",
        quarantine: "/env/default/quarantine",
        scenarios: "/env/default/scenarios?open=checkout%2Fready-customer",
        activity: "/env/default/activity",
        settings: "/settings",
    };
    return Object.entries(pages);
}

/** What holds of every page: accessible, no wider than the window, with a heading and a title of its own. */
export async function inspect(page, name, address, pictures) {
    await page.goto(address);
    await page.getByRole("heading", { level: 1 }).waitFor();
    await page.waitForFunction(() => document.querySelector("[role=status][aria-label^=Loading]") === null);
    if (pictures !== undefined) await picture(page, pictures, name);
    assert.deepEqual(await violations(page), [], `${name} is accessible`);
    const [inside, window] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
    assert.ok(inside <= window, `${name} is ${inside} pixels wide in a window of ${window}`);
    assert.match(await page.title(), / · Sixpack$/, name);
}
