// Has a client do all cases with every server, in every version of STOMP that it knows and over every
// transport, and compares what happens with what is known of both.

import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";

import { Peer } from "../peer.mjs";
import { CASES, Otherwise } from "./cases.mjs";
import { checkCases, compare, knownAt } from "./differences.mjs";
import { Cannot, Driven } from "./driven.mjs";
import { keep } from "./records.mjs";
import { SERVERS } from "./servers.mjs";

/**
 * Defines the tests of a client:
 *
 * - `name`: what the table calls it.
 * - `driver`, `environment`: the command that starts its driver, and what that needs to know.
 * - `transports`: for `websocket` and `tcp`, the versions of STOMP that it speaks there.
 * - `differences`: the cases that do not pass for a reason that lies in the client, each with
 *   `cases` (names), `outcome` ("fails": it does it wrongly, "cannot": it has no way to do it),
 *   `why`, what a failure `shows` (an expression for its message, or one for each server) and, where
 *   it is not everywhere, `versions`, `transports` and `servers`. A difference that is not there any
 *   more is a failure as well.
 */
export function interop(client) {
  checkCases(client.differences, CASES.map(({ name }) => name));
  const records = [];
  describe(client.name, { concurrency: true }, () => {
    for (const server of SERVERS) defineServer(client, server, records);
    const { name, transports } = client;
    after(() => keep(`client-${name}`, { name, transports, records }));
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

function defineServer(client, server, records) {
  const running = {};
  describe(server.name, { concurrency: true }, () => {
    before(async () => Object.assign(running, await server.start()));
    after(() => running.stop?.());
    for (const [transport, versions] of Object.entries(client.transports)) {
      for (const version of versions) {
        describe(`${version} over ${transport}`, { concurrency: false }, () =>
          defineCases(client, server, running, transport, version, records));
      }
    }
  });
}

function defineCases(client, server, running, transport, version, records) {
  const context = new Context(client, running, transport, version);
  const differences = [...server.differences, ...client.differences];
  after(() => context.end());
  for (const { name, versions, run } of CASES) {
    if (versions !== undefined && !versions.includes(version)) continue;
    test(name, async () => {
      assert.ok(running.open && running.guarded, `${server.name} did not start`);
      const { outcome, why } = await context.observe(run);
      const place = { case: name, version, transport, client: client.name, server: server.name };
      const known = knownAt(place, differences);
      const ofServer = server.differences.includes(known) || known?.servers !== undefined;
      const { library } = context;
      const { rule } = known ?? {};
      records.push({ ...place, outcome, why: known?.why ?? why, rule, ofServer, library });
      compare({ outcome, why }, known, server.name);
    });
  }
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

  /** The address of the server. */
  get address() {
    return this.#servers.open.addresses[this.#label];
  }

  /** The address of the one that asks for a login, and how its refusal reads. */
  get guarded() {
    const { addresses, refusal } = this.#servers.guarded;
    return { address: addresses[this.#label], refusal };
  }

  /** What happens when the client does a case. */
  async observe(run) {
    try {
      this.driven ??= await Driven.start(this.#client.driver, this.#client.environment);
      this.library = this.driven.version;
      await run(this);
      return { outcome: "passes" };
    } catch (error) {
      // Who did something wrongly can go on, and starts again only if that turns out to be untrue.
      if (error instanceof Cannot || error instanceof Otherwise) await this.#leave();
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
    const { credentials } = this.#servers.open;
    return this.driven.connect({ transport, version, address, credentials, ...parameters });
  }

  /** A connection that has nothing to do with the client. */
  async peer() {
    const { addresses, credentials } = this.#servers.open;
    const peer = await Peer.tcp(addresses.tcp);
    this.#peers.push(peer);
    await peer.connect({ host: addresses.tcp.split(":")[0], ...credentials });
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
    let last = false;
    while (!last || found.length < messages.length) {
      const { body, headers } = await peer.expect("MESSAGE", { destination });
      if (String(body) === "the last") last = true;
      else found.push({ body: String(body), redelivered: headers.redelivered === "true" });
    }
    assert.deepEqual(found, messages);
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
