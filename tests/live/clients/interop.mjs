// Has a client do all cases, in every version of STOMP that it knows and over every transport, and
// compares what happens with what is known of it.

import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";

import { Peer } from "../peer.mjs";
import { startServe } from "../server.mjs";
import { CASES, PERIOD } from "./cases.mjs";
import { Cannot, Driven } from "./driven.mjs";

/**
 * Defines the tests of a client:
 *
 * - `name`: what the table calls it.
 * - `driver`, `environment`: the command that starts its driver, and what that needs to know.
 * - `transports`: for `websocket` and `tcp`, the versions of STOMP that it speaks there.
 * - `differences`: the cases that do not pass for a reason that lies in the client, each with
 *   `cases` (names), `outcome` ("fails": it does it wrongly, "cannot": it has no way to do it),
 *   `why`, what a failure `shows` (an expression for its message) and, where it is not everywhere,
 *   `versions` and `transports`. A difference that is not there any more is a failure as well.
 */
export function interop(client) {
  const records = [];
  const servers = {};
  describe(client.name, { concurrency: true }, () => {
    before(async () => {
      servers.open = await startServe("--heart-beat", `${PERIOD},${PERIOD}`);
      servers.guarded = await startServe("--login", "ann", "--passcode", "right");
    });
    after(async () => {
      await keep(client, records);
      await servers.open?.stop();
      await servers.guarded?.stop();
    });
    for (const [transport, versions] of Object.entries(client.transports)) {
      for (const version of versions) {
        describe(`${version} over ${transport}`, { concurrency: false }, () =>
          defineCases(client, servers, transport, version, records));
      }
    }
  });
}

/** The driver of a library that `run` installed with pip, in the folder of that name. */
export function python(folder) {
  const here = new URL(".", import.meta.url).pathname;
  const installed = join(installedFolder(), folder);
  return {
    driver: ["python3", join(here, folder, "driver.py")],
    environment: { PYTHONPATH: `${here}:${installed}`, PYTHONDONTWRITEBYTECODE: "1" },
  };
}

/** Where `run` has installed what is not from npm, in a folder for each client. */
export function installedFolder() {
  const folder = process.env.LIVE_INSTALLED;
  assert.ok(folder, "LIVE_INSTALLED names no folder: start the tests with tests/live/run");
  return folder;
}

/** The name of the file under `LIVE_ARTIFACTS` that holds what a client did. */
export function recordName(name) {
  return `client-${name.replaceAll(/[^\w.-]+/g, "-")}.json`;
}

function defineCases(client, servers, transport, version, records) {
  const context = new Context(client, servers, transport, version);
  after(() => context.end());
  for (const { name, versions, run } of CASES) {
    if (versions !== undefined && !versions.includes(version)) continue;
    test(name, async () => {
      assert.ok(servers.open && servers.guarded, "the servers did not start");
      const { outcome, why } = await context.observe(run);
      const known = client.differences.find((difference) => applies(difference, name, transport, version));
      records.push({ case: name, transport, version, outcome, why: known?.why ?? why, library: context.library });
      assert.equal(outcome, known?.outcome ?? "passes", why);
      if (known?.shows) assert.match(why, known.shows, "it fails, but in another way than it is known to");
    });
  }
}

function applies({ cases, versions, transports }, name, transport, version) {
  return cases.includes(name)
    && (versions?.includes(version) ?? true)
    && (transports?.includes(transport) ?? true);
}

/** A client in one version over one transport, and who is there to help. */
class Context {
  #client;
  #servers;
  #peers = [];
  driven = null;
  library = null;

  constructor(client, servers, transport, version) {
    this.#client = client;
    this.#servers = servers;
    this.transport = transport;
    this.version = version;
  }

  /** The address of the server, and of the one that asks for a login. */
  get address() {
    return this.#servers.open.addresses[this.#label];
  }

  get guarded() {
    return this.#servers.guarded.addresses[this.#label];
  }

  /** What happens when the client does a case. */
  async observe(run) {
    try {
      this.driven ??= await Driven.start(this.#client.driver, this.#client.environment);
      this.library = this.driven.version;
      await run(this);
      return { outcome: "passes" };
    } catch (error) {
      if (error instanceof Cannot) await this.#leave();
      else await this.end(); // the next case has a new driver
      return { outcome: error instanceof Cannot ? "cannot" : "fails", why: error.message };
    } finally {
      for (const peer of this.#peers.splice(0)) peer.abandon();
      if (this.driven?.ended) this.driven = null; // some cases kill it
    }
  }

  async end() {
    await this.driven?.kill();
    this.driven = null;
  }

  /** Connects the client. */
  connect(parameters = {}) {
    const { transport, version, address } = this;
    return this.driven.connect({ transport, version, address, ...parameters });
  }

  /** A connection that has nothing to do with the client. */
  async peer() {
    const peer = await Peer.tcp(this.#servers.open.addresses.tcp);
    this.#peers.push(peer);
    await peer.connect();
    return peer;
  }

  /** Puts messages into a queue. */
  async fill(destination, bodies) {
    const peer = await this.peer();
    for (const body of bodies) {
      await peer.send("SEND", { destination, receipt: body }, body);
      await peer.expect("RECEIPT", { "receipt-id": body });
    }
  }

  /** Waits until these messages, and no others, are in a queue. */
  async left(destination, messages) {
    const peer = await this.peer();
    await peer.subscribe("left", destination);
    await peer.send("SEND", { destination }, "the last");
    const found = [];
    const last = (left) => left.every(({ body }) => body !== "the last") || left.length <= messages.length;
    while (last(found)) {
      const { body, headers } = await peer.expect("MESSAGE", { destination });
      found.push({ body: String(body), ...(headers.redelivered && { redelivered: headers.redelivered }) });
    }
    const others = found.filter(({ body }) => body !== "the last");
    assert.deepEqual(others, messages);
  }

  /** Ends the connection, and the driver only if that does not work. */
  async #leave() {
    try {
      await this.driven.do("disconnect");
    } catch {
      await this.end();
    }
  }

  get #label() {
    return this.transport === "tcp" ? "tcp" : "ws";
  }
}

async function keep(client, records) {
  const folder = process.env.LIVE_ARTIFACTS;
  if (folder === undefined) return;
  await mkdir(folder, { recursive: true });
  const text = JSON.stringify({ name: client.name, transports: client.transports, records }, null, 2);
  await writeFile(join(folder, recordName(client.name)), `${text}\n`);
}
