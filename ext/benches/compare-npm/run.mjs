#!/usr/bin/env node
// Compares this client with npm's bigcommerce-api-client on the same sandbox, see ../README.md.

import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, mkdirSync, readFileSync } from "node:fs";
import { availableParallelism, cpus } from "node:os";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";

import { ATTRIBUTE_IDS, readRows } from "./rows.mjs";

const HELP = `\
Compares this client with npm's bigcommerce-api-client on the same sandbox.

Prints each round to standard error and a table of medians, as Markdown, to standard output.

Usage: run.mjs [OPTIONS]

  --rounds N      rounds of each client [5]
  --latency TIME  time that the sandbox waits before each response, as in 20ms [20ms]
  --help          print this text
`;

const NPM_CLIENT = "bigcommerce-api-client";
const HERE = import.meta.dirname;
const CSV = join(HERE, "../../examples/cdnow_customers.csv");

const children = new Set();
process.on("exit", () => children.forEach((child) => child.kill()));
for (const signal of ["SIGINT", "SIGTERM"]) {
    process.once(signal, () => process.exit(1));
}

const { rounds, latency } = parseOptions();
const targetDir = build();
const installDir = install(targetDir);
const rows = readRows(CSV);
const clients = {
    ours: (url) => [
        join(targetDir, "release/bigcommerce-attributes"),
        ["import", CSV, "--url", url, "--quiet", ...attributeArgs()],
    ],
    npm: (url) => [process.execPath, [join(HERE, "client.mjs"), installDir, url, CSV]],
};

const results = { ours: [], npm: [] };
for (let round = 1; round <= rounds; round += 1) {
    for (const [name, command] of Object.entries(clients)) {
        const result = await measure(command);
        results[name].push(result);
        console.error(
            `round ${round}, ${name}: ${result.requests} requests, ` +
                `${result.seconds.toFixed(3)} s, ${result.peakMib.toFixed(1)} MiB`,
        );
    }
}
printTable();

function parseOptions() {
    try {
        const { values } = parseArgs({
            options: {
                rounds: { type: "string", default: "5" },
                latency: { type: "string", default: "20ms" },
                help: { type: "boolean" },
            },
        });
        if (values.help) {
            process.stdout.write(HELP);
            process.exit(0);
        }
        if (!/^[1-9]\d*$/.test(values.rounds)) {
            throw new Error(`--rounds ${values.rounds}: not a whole number above 0`);
        }
        return { rounds: Number(values.rounds), latency: values.latency };
    } catch (error) {
        console.error(`run.mjs: ${error.message}; see --help`);
        process.exit(2);
    }
}

/** Builds the sandbox and this client's program. Returns the target directory. */
function build() {
    const options = { cwd: HERE, encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] };
    const cargo = (...args) => execFileSync("cargo", args, options);
    cargo("build", "--release", "-p", "bigcommerce-sandbox");
    cargo("build", "--release", "-p", "bigcommerce-attributes");
    return JSON.parse(cargo("metadata", "--no-deps", "--format-version=1")).target_directory;
}

/** Installs npm's client below the target directory, which git ignores. */
function install(targetDir) {
    const dir = join(targetDir, "compare-npm");
    mkdirSync(dir, { recursive: true });
    copyFileSync(join(HERE, "package.json"), join(dir, "package.json"));
    const flags = ["--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts"];
    execFileSync("npm", ["install", ...flags], { cwd: dir, stdio: ["ignore", 2, "inherit"] });
    return dir;
}

function attributeArgs() {
    return Object.entries(ATTRIBUTE_IDS).flatMap(([name, id]) => ["--attribute", `${name}=${id}`]);
}

/** Runs a client against a sandbox of its own and checks that all values were stored. */
async function measure(command) {
    const sandboxArgs = ["--port", "0", "--latency", latency];
    const sandbox = start(join(targetDir, "release/bigcommerce-sandbox"), sandboxArgs);
    const lines = createInterface({ input: sandbox.stdout })[Symbol.asyncIterator]();
    const { value: url } = await lines.next();
    if (url === undefined) {
        throw new Error("the sandbox did not start");
    }

    const usage = await runToEnd(...command(url));
    const checkRequests = await checkStored(url);

    sandbox.kill("SIGTERM");
    const { value: counts } = await lines.next();
    return {
        ...usage,
        requests: Number(/^(\d+) requests/.exec(counts)[1]) - checkRequests,
        inFlight: Number(/peak in flight (\d+)/.exec(counts)[1]),
    };
}

/** Runs a program to its end. Returns its wall time, from start to exit, and its peak memory. */
async function runToEnd(program, args) {
    const started = performance.now();
    const child = start(program, args);
    child.stdout.resume();
    let peakKib = 0;
    // Read from outside, for both clients alike: getrusage() would include the memory of this
    // process, from which they are forked. The peak never falls, so the last reading counts.
    const readPeak = () => {
        const status = readFileSync(`/proc/${child.pid}/status`, "utf8");
        peakKib = Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1] ?? peakKib);
    };
    const timer = setInterval(readPeak, 5);
    const [code] = await once(child, "exit");
    const seconds = (performance.now() - started) / 1000;
    clearInterval(timer);
    if (code !== 0) {
        throw new Error(`${program} failed with exit status ${code}`);
    }
    return { seconds, peakMib: peakKib / 1024 };
}

function start(program, args) {
    const child = spawn(program, args, {
        stdio: ["ignore", "pipe", "inherit"],
        // Both clients obey proxy variables, and the sandbox must not see a real token.
        env: { ...process.env, NO_PROXY: "127.0.0.1", BIGCOMMERCE_ACCESS_TOKEN: "sandbox" },
    });
    children.add(child);
    child.once("exit", () => children.delete(child));
    return child;
}

/** Compares the sandbox's values with the CSV's. Returns the number of requests that it sent. */
async function checkStored(url) {
    const key = (row) => `${row.customer_id}/${row.attribute_id}`;
    const missing = new Map(rows.map((row) => [key(row), row.value]));
    let page = 0;
    let totalPages;
    do {
        page += 1;
        const response = await fetch(
            `${url}/customers/attribute-values?limit=250&page=${page}`,
            { headers: { "X-Auth-Token": "sandbox" } },
        );
        const { data, meta } = await response.json();
        totalPages = meta.pagination.total_pages;
        for (const row of data) {
            if (missing.get(key(row)) !== row.attribute_value) {
                throw new Error(`the sandbox holds an unexpected value: ${JSON.stringify(row)}`);
            }
            missing.delete(key(row));
        }
    } while (page < totalPages);
    if (missing.size > 0) {
        throw new Error(`the sandbox lacks ${missing.size} of ${rows.length} values`);
    }
    return page;
}

function printTable() {
    const version = (name) => {
        const path = join(installDir, "node_modules", name, "package.json");
        return JSON.parse(readFileSync(path, "utf8")).version;
    };
    const values = rows.length.toLocaleString("en");
    console.log(
        `${availableParallelism()} cores of ${cpus()[0].model}, node ${process.version}, ` +
            `${NPM_CLIENT} ${version(NPM_CLIENT)} with axios ${version("axios")}; ` +
            `${values} values, ${latency} per response, medians of ${rounds} rounds\n`,
    );
    console.log(`| | this client | \`${NPM_CLIENT}\` | ratio |\n|---|---|---|---|`);
    const printRow = (label, ours, npm, ratio) =>
        console.log(`| ${label} | ${ours} | ${npm} |${ratio ? ` ${ratio} ` : " "}|`);
    const printMedians = (label, figure, format) => {
        const [ours, npm] = [results.ours, results.npm].map((runs) =>
            median(runs.map((run) => run[figure])),
        );
        printRow(label, format(ours), format(npm), (npm / ours).toFixed(1));
    };
    const mostInFlight = (runs) => Math.max(...runs.map((run) => run.inFlight));
    printMedians("requests", "requests", (count) => count);
    printRow("most requests in flight", mostInFlight(results.ours), mostInFlight(results.npm));
    printMedians("time", "seconds", (seconds) => `${seconds.toFixed(1)} s`);
    printMedians("peak memory", "peakMib", (mib) => `${mib.toFixed(0)} MiB`);
    // Checked after each round.
    printRow("values stored", values, values);
}

function median(figures) {
    const sorted = figures.toSorted((a, b) => a - b);
    const middle = sorted.length >> 1;
    return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
