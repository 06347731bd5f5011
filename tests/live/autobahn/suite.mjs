// Runs the fuzzing client of the Autobahn test suite against the echo of `stompbox serve`, prints
// what came out, and fails unless every case passed. Started by `run`, which installs the suite.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

import { startServe } from "../server.mjs";
import { Verdict } from "./verdict.mjs";

/** How long all cases may take, in milliseconds. Each waits for up to 2 s by itself. */
const PATIENCE = 240_000;

/** The name of the program under test, in the suite's report. */
const AGENT = "stompbox";

/** Compression: of the WebSocket extensions there is none. */
const EXCLUDED = ["12.*", "13.*"];

/** Its packages are in a folder that Python does not know; some of them ask for a site folder. */
const FUZZING_CLIENT = `
import site, sys
site.addsitedir(sys.argv.pop(1))
from autobahntestsuite.wstest import run
run()`;

const reports = join(process.env.LIVE_ARTIFACTS, "autobahn");
const server = await startServe();
try {
  const verdict = new Verdict(await fuzz(server.addresses.echo));
  console.log(`${verdict}`);
  console.log(`The suite's own report: ${join(reports, "index.html")}`);
  if (!verdict.passed) process.exitCode = 1;
} finally {
  await server.stop();
}

/** Runs all cases; returns which were to be run, and the report of those that were. */
async function fuzz(url) {
  await rm(reports, { recursive: true, force: true }); // an earlier run's says nothing
  const folder = await mkdtemp(join(tmpdir(), "autobahn-"));
  try {
    const spec = join(folder, "fuzzingclient.json");
    const servers = [{ agent: AGENT, url }];
    await writeFile(
      spec,
      JSON.stringify({
        outdir: reports,
        servers,
        cases: ["*"],
        "exclude-cases": EXCLUDED,
        "exclude-agent-cases": {},
      }),
    );
    const modules = join(import.meta.dirname, "python_modules");
    const args = ["-c", FUZZING_CLIENT, modules, "--mode", "fuzzingclient", "--spec", spec];
    const options = { timeout: PATIENCE, killSignal: "SIGKILL", maxBuffer: 1 << 26 };
    const { stdout } = await promisify(execFile)("python2.7", args, options);
    return { announced: announced(stdout), report: await read(join(reports, "index.json")) };
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** The cases that the suite said it would run: a report may lack some, if the server went. */
function announced(output) {
  const [, cases] = /^Cases = \[(.*)\]$/m.exec(output) ?? [];
  assert.ok(cases, `the suite announced no cases:\n${output}`);
  return cases.split(", ").map((name) => name.slice(1, -1));
}

async function read(report) {
  return JSON.parse(await readFile(report, "utf8"))[AGENT];
}
