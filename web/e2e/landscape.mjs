/** A real landscape on free ports: the server, the shop's four services, their suppliers, and its scenarios. */
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, readdirSync, rmSync, createWriteStream } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

const SHOP = new URL("../../examples/shop/", import.meta.url).pathname;
/** Longer than anything here takes on a busy machine. */
const PATIENCE_MS = 60_000;

/** Starts all of it; `stop` ends every process and removes every file. */
export async function startLandscape(programs) {
    const folder = mkdtempSync(join(tmpdir(), "sixpack-pages-"));
    const processes = new Set();

    const start = async (name, program, args, until, environment = {}) => {
        const child = spawn(join(programs, program), args, {
            cwd: folder,
            env: { ...process.env, SIXPACK_URL: undefined, SIXPACK_TOKEN: undefined, ...environment },
            stdio: ["ignore", "pipe", "pipe"],
        });
        processes.add(child);
        child.once("exit", () => processes.delete(child));
        child.stderr.pipe(createWriteStream(join(folder, `${name}.log`)));
        return { child, line: await firstLine(child, until, name) };
    };

    const serve = (listen) =>
        start("server", "sixpack", ["dev", "--listen", listen, "--data", join(folder, "data")], /ready at (\S+)/);

    try {
        const server = await serve("127.0.0.1:0");
        const url = server.line[1];
        const token = readFileSync(join(folder, "data", "token"), "utf8").trim();
        const service = async (name, ...more) => {
            const { line } = await start(
                name,
                "shop",
                [name, "--data", folder, "--lag-ms", "100", ...more],
                /listening on (\S+)/,
            );
            return line[1];
        };
        const customer = await service("customer");
        const order = await service("order");
        const billing = await service("billing", "--verify-ms", "300");
        const delivery = await service("delivery");
        await put(`${customer}/admin/peers`, { subscribers: [order, billing] });
        await put(`${order}/admin/peers`, { subscribers: [billing, delivery], billing });
        await put(`${billing}/admin/peers`, { subscribers: [order] });
        await put(`${delivery}/admin/peers`, { subscribers: [] });
        const known = { SIXPACK_URL: url, SIXPACK_TOKEN: token };
        const supplier = (team, ...more) =>
            start(`supplier-${team}`, "shop", ["supplier", team, ...more], /publishing/, known);
        await Promise.all([
            supplier("customer", "--service-url", customer),
            supplier("order", "--service-url", order, "--billing-url", billing),
            supplier("billing", "--service-url", billing),
            supplier("delivery", "--service-url", delivery),
        ]);
        const landscape = {
            url,
            token,
            services: { customer, order, billing, delivery },
            /** Calls the API as an administrator. */
            api: (method, path, body) => call(method, `${url}${path}`, body, { authorization: `Bearer ${token}` }),
            /** Breaks a service, or mends it with `{ mode: "none" }`. */
            fault: (name, fault) => put(`${landscape.services[name]}/admin/fault`, fault),
            drift: (name, what) => call("POST", `${landscape.services[name]}/admin/drift`, what),
            /** Ends the server and starts it again at the same address, with what `meanwhile` does between. */
            restartServer: async (meanwhile) => {
                await ended(landscape.server);
                await meanwhile();
                landscape.server = (await serve(new URL(url).host)).child;
            },
            server: server.child,
            stop: async () => {
                await Promise.all([...processes].map(ended));
                rmSync(folder, { recursive: true, force: true });
            },
        };
        await applyFiles(landscape);
        return landscape;
    } catch (error) {
        await Promise.all([...processes].map(ended));
        throw new Error(`the landscape could not be started; logs are in ${folder}`, { cause: error });
    }
}

async function applyFiles({ api }) {
    const folder = join(SHOP, "scenarios");
    const scenarios = readdirSync(folder).map((name) => ({
        path: name,
        text: readFileSync(join(folder, name), "utf8"),
    }));
    const stock = { path: "stock.yaml", text: readFileSync(join(SHOP, "stock.yaml"), "utf8") };
    await api("POST", "/v1/environments/default/apply", { files: [...scenarios, stock] });
}

function put(url, body) {
    return call("PUT", url, body);
}

async function call(method, url, body, headers = {}) {
    const answer = await fetch(url, {
        method,
        headers: { "content-type": "application/json", ...headers },
        body: body === undefined ? undefined : JSON.stringify(body),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${url} answered ${answer.status}: ${text}`);
    return text === "" ? undefined : JSON.parse(text);
}

/** The first line of standard output that matches. */
function firstLine(child, pattern, name) {
    return new Promise((resolve, reject) => {
        const late = setTimeout(() => reject(new Error(`${name} did not begin in time`)), PATIENCE_MS);
        child.once("error", reject);
        child.once("exit", (code) => reject(new Error(`${name} ended with ${code} before it began`)));
        createInterface({ input: child.stdout }).on("line", (line) => {
            const found = pattern.exec(line);
            if (found === null) return;
            clearTimeout(late);
            resolve(found);
        });
    });
}

function ended(child) {
    if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
    return new Promise((resolve) => {
        child.once("exit", resolve);
        child.kill("SIGTERM");
    });
}
