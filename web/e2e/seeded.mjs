/** Opens every page before a seeded server (`cargo xtask seed`): `npm run seeded -- URL TOKEN`; prints one JSON object. */
import { openTab, startBrowser } from "./browser.mjs";

const [url, token, pictures] = process.argv.slice(2);
if (token === undefined) throw new Error("say where: npm run seeded -- URL TOKEN [FOLDER-FOR-PICTURES]");
/** Rows that are scrolled through in the list of datasets. */
const ROWS = 100_000;

async function read(path) {
    const answer = await fetch(`${url}${path}`, { headers: { authorization: `Bearer ${token}` } });
    if (!answer.ok) throw new Error(`${path} answered ${answer.status}`);
    return answer.json();
}

const first = async (path) => (await read(path)).items[0];

async function pagesOfSeed() {
    const env = "/env/default";
    const [building, failed, fulfilled] = await Promise.all(
        ["building", "failed", "fulfilled"].map((status) => first(`/v1/requests?status=${status}&refills=false`)),
    );
    const lease = await first("/v1/leases?status=held");
    const set = await first("/v1/quarantine");
    return {
        catalogue: `${env}/contracts`,
        "catalogue-filtered": `${env}/contracts?health=broken`,
        contract: `${env}/contracts/customer/active-account`,
        "contract-lately": `${env}/contracts/customer/active-account?tab=runs`,
        "contract-graph": `${env}/contracts/billing/disputed-payment?tab=graph`,
        "contract-versions": `${env}/contracts/partner/open-account?tab=versions`,
        "contract-import": `${env}/contracts/customer/active-account?tab=import`,
        requests: `${env}/requests`,
        "requests-failed": `${env}/requests?status=failed`,
        "requests-of-ada": `${env}/requests?holder=ada`,
        "request-building": `${env}/requests/${building.id}`,
        "request-failed": `${env}/requests/${failed.id}`,
        "request-fulfilled": `${env}/requests/${fulfilled.id}`,
        joint: `${env}/requests/new?of=customer/active-account,billing/open-profile`,
        lease: `${env}/leases/${lease.id}`,
        mine: `${env}/mine`,
        datasets: `${env}/datasets`,
        "datasets-leased": `${env}/datasets?status=leased`,
        dataset: `${env}/datasets/${lease.dataset.id}`,
        "dataset-quarantined": `${env}/datasets/${set.dataset_id}`,
        stock: `${env}/stock`,
        suppliers: `${env}/suppliers`,
        landscape: `${env}/landscape?down=billing`,
        quarantine: `${env}/quarantine`,
        scenarios: `${env}/scenarios?open=billing%2Fdisputed-payment`,
        activity: `${env}/activity`,
        settings: "/settings",
    };
}

/** From the address to a page that waits for nothing any more; and the longest time in which it answered nobody. */
async function opened(page, address) {
    const begun = performance.now();
    await page.goto(address, { waitUntil: "commit" });
    await page.getByRole("heading", { level: 1 }).waitFor();
    await page.waitForFunction(() => document.querySelector("[role=status][aria-label^=Loading]") === null);
    const ms = Math.round(performance.now() - begun);
    const longest = await page.evaluate(
        () =>
            new Promise((tell) => {
                const tasks = [];
                new PerformanceObserver((list) => tasks.push(...list.getEntries())).observe({
                    type: "longtask",
                    buffered: true,
                });
                setTimeout(() => tell(Math.round(Math.max(0, ...tasks.map(({ duration }) => duration)))), 100);
            }),
    );
    return { ms, longest_task_ms: longest };
}

/** Scrolls down until so many rows have been read; tells how smoothly, at the end of it. */
async function scrolled(page) {
    await page.goto("/env/default/datasets");
    const list = page.getByRole("group", { name: "Datasets" });
    await list.getByRole("row").nth(10).waitFor();
    const begun = performance.now();
    const told = await list.evaluate(async (box, wanted) => {
        const rows = () =>
            Number(
                /^([\d.,\s\u202f]+) so far/.exec(box.lastElementChild?.textContent ?? "")?.[1]?.replaceAll(/\D/g, "") ??
                    Infinity,
            );
        const frame = () => new Promise((next) => requestAnimationFrame(next));
        while (rows() < wanted) {
            box.scrollTop = box.scrollHeight;
            await frame();
        }
        const frames = [];
        for (let step = 0, before = performance.now(); step < 120; step += 1) {
            box.scrollTop -= 700;
            await frame();
            frames.push(performance.now() - before);
            before = performance.now();
        }
        frames.sort((a, b) => a - b);
        return {
            frame_ms: { median: Math.round(frames[60]), worst: Math.round(frames.at(-1)) },
            drawn: box.querySelectorAll("tbody tr").length,
        };
    }, ROWS);
    return { rows: ROWS, seconds: Math.round((performance.now() - begun) / 1000), ...told };
}

const browser = await startBrowser();
try {
    const tab = await openTab(browser, { baseURL: url });
    await tab.page.goto(`/sign-in#${token}`);
    await tab.page.waitForURL(/\/env\//);
    const told = {};
    for (const [name, address] of Object.entries(await pagesOfSeed())) {
        told[name] = await opened(tab.page, address);
        if (pictures !== undefined) await tab.page.screenshot({ path: `${pictures}/${name}.png` });
        const complaints = tab.complaints.splice(0);
        if (complaints.length > 0) told[name].complaints = complaints;
    }
    const scroll = await scrolled(tab.page);
    console.log(JSON.stringify({ pages: told, scroll }, null, 2));
} finally {
    await browser.close();
}
