/** Measures what is promised of speed, with a thousand contracts: `npm run measure -- FOLDER-OF-PROGRAMS`; prints one JSON object. */
import { readFileSync } from "node:fs";
import { openTab, startBrowser } from "./browser.mjs";
import { startLandscape } from "./landscape.mjs";

const [programs = new URL("../../target/release", import.meta.url).pathname] = process.argv.slice(2);
const DOMAINS = 10;
const CONTRACTS = 100;
/** Enough that one slow run does not decide. */
const RUNS = 7;
/** Tabs that follow a request each. */
const TABS = 20;

const property = (name) => ({ type: "string", description: `What the ${name} is` });

function manifest(domain) {
    const capabilities = Array.from({ length: CONTRACTS }, (_, index) => ({
        name: `state-${index}`,
        description: `State number ${index} that the services of domain ${domain} can be in, for whoever tests them`,
        input: { type: "object", properties: { country: property("country"), name: property("name") } },
        output: { type: "object", properties: { id: property("id") } },
        labels: { tier: String(index % 3) },
    }));
    const owner = { team: `Team ${domain}`, contact: `team-${domain}@shop.test` };
    return { environment: "large", domain: `domain-${domain}`, instance: "one", owner, capabilities };
}

const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];

/** From the address to a catalogue that can be searched, with nothing in the cache. */
async function firstLoad(browser, url, token) {
    const tab = await openTab(browser, { baseURL: url });
    await tab.page.request.put("/v1/sign-in", { data: { token }, headers: { "sec-fetch-site": "same-origin" } });
    const begun = performance.now();
    await tab.page.goto("/env/large/contracts", { waitUntil: "commit" });
    await tab.page.getByRole("link", { name: "domain-0/state-0", exact: false }).first().waitFor();
    const took = performance.now() - begun;
    await tab.close();
    return took;
}

/** From a key to the list that it leaves, drawn. */
async function typing(browser, url, token) {
    const tab = await openTab(browser, { baseURL: url });
    await tab.page.request.put("/v1/sign-in", { data: { token }, headers: { "sec-fetch-site": "same-origin" } });
    await tab.page.goto("/env/large/contracts");
    await tab.page.getByRole("link", { name: "domain-0/state-0", exact: false }).first().waitFor();
    const box = tab.page.getByLabel("Search the catalogue");
    await box.focus();
    await tab.page.evaluate(() => {
        window.took = [];
        new PerformanceObserver((list) => {
            for (const entry of list.getEntries()) if (entry.name === "keydown") window.took.push(entry.duration);
        }).observe({ type: "event", durationThreshold: 16, buffered: false });
    });
    const text = "domain-3 state number 42";
    for (const key of text) await tab.page.keyboard.press(key === " " ? "Space" : key);
    await tab.page.getByRole("link", { name: "domain-3/state-42", exact: false }).waitFor();
    const took = await tab.page.evaluate(() => window.took);
    await tab.close();
    // What is quicker than a frame is not reported.
    return { keys: text.length, slower_than_a_frame: took.length, slowest_ms: Math.max(0, ...took) };
}

/** Memory of a process that is in use now, in megabytes. */
function memoryOf(id) {
    return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${id}/status`, "utf8"))[1]) / 1024;
}

/** What tabs cost the server that each follow a request of their own while it is made. */
async function tabs(browser, { url, token, api, server }) {
    const wait = { name: "waiting", output: { type: "object" }, input: { type: "object" } };
    const owner = { team: "Slow" };
    await api("POST", "/v1/sessions", {
        environment: "large",
        domain: "slow",
        instance: "one",
        owner,
        capabilities: [wait],
    });
    const opened = [];
    const follow = async () => {
        const request = await api("POST", "/v1/requests", { environment: "large", contract: "slow/waiting" });
        // A window of its own, because a tab that is not seen does not listen.
        const tab = await openTab(browser, { baseURL: url });
        opened.push(tab);
        await tab.page.request.put("/v1/sign-in", { data: { token }, headers: { "sec-fetch-site": "same-origin" } });
        await tab.page.goto(`/env/large/requests/${request.id}`);
        await tab.page.getByText(/0 of 1 made/).waitFor();
    };
    // The first has the server warm up.
    await follow();
    const before = memoryOf(server.pid);
    let most = before;
    for (let tab = 0; tab < TABS; tab += 1) {
        await follow();
        most = Math.max(most, memoryOf(server.pid));
    }
    await Promise.all(opened.map((tab) => tab.close()));
    return { tabs: TABS, server_mb: Math.round(before), cost_mb: Math.round((most - before) * 10) / 10 };
}

const landscape = await startLandscape(programs);
const browser = await startBrowser();
try {
    // First, because a server that has just published a thousand contracts has memory to spare, which would hide what tabs take.
    const open = await tabs(browser, landscape);
    for (let domain = 0; domain < DOMAINS; domain += 1) await landscape.api("POST", "/v1/sessions", manifest(domain));
    const loads = [];
    for (let run = 0; run < RUNS; run += 1) loads.push(await firstLoad(browser, landscape.url, landscape.token));
    const keys = await typing(browser, landscape.url, landscape.token);
    console.log(
        JSON.stringify(
            {
                contracts: DOMAINS * CONTRACTS,
                first_load_ms: Math.round(median(loads)),
                first_loads_ms: loads.map(Math.round),
                typing: keys,
                open_tabs: open,
            },
            null,
            2,
        ),
    );
} finally {
    await browser.close();
    await landscape.stop();
}
