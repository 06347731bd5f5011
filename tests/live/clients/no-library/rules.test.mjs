// All servers, asked for what STOMP 1.2 demands of them, with nobody's library between.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { Peer } from "../../peer.mjs";
import { CASES } from "../cases.mjs";
import { checkCases, compare, knownAt } from "../differences.mjs";
import { keep } from "../records.mjs";
import { SERVERS } from "../servers.mjs";
import { STOMPBOX, STRICT } from "../stompbox.mjs";
import { RULES } from "./rules.mjs";

const records = [];

/** What those say of themselves whose version is none of ours. */
const versions = {};

describe("no library", { concurrency: true }, () => {
  for (const server of [...SERVERS, STRICT]) {
    checkCases(server.differences, [...CASES, ...RULES].map(({ name }) => name));
    const running = {};
    describe(server.name, { concurrency: true }, () => {
      before(async () => {
        Object.assign(running, await server.start());
        if (server !== STOMPBOX && server !== STRICT) versions[server.name] = await version(running);
      });
      after(() => running.stop?.());
      for (const transport of ["websocket", "tcp"]) {
        for (const { name, run } of RULES) {
          test(`${name}, over ${transport}`, () => obey(server, running, transport, name, run));
        }
      }
    });
  }
  after(() => keep("rules", { versions, records }));
});

async function obey(server, running, transport, name, run) {
  assert.ok(running.open, `${server.name} did not start`);
  const context = new Context(running, transport);
  const place = { case: name, version: "1.2", transport, server: server.name };
  const outcome = await context.observe(run);
  const known = knownAt(place, server.differences);
  const { rule, why = outcome.why } = known ?? {};
  records.push({ ...place, outcome: outcome.outcome, why, rule, ofServer: true });
  compare(outcome, known, server.name);
}

/** The name and the version of a server, as it says them in CONNECTED. */
async function version(running) {
  const context = new Context(running, "tcp");
  const peer = await context.open();
  const { headers } = await peer.connect(context.connectHeaders);
  peer.abandon();
  return headers.server.replace("/", " ");
}

/** A server over one transport. */
class Context {
  static #destinations = 0;
  #running;
  #transport;
  #peers = [];

  constructor(running, transport) {
    this.#running = running;
    this.#transport = transport;
  }

  async observe(run) {
    try {
      await run(this);
      return { outcome: "passes" };
    } catch (error) {
      return { outcome: "fails", why: error.message };
    } finally {
      for (const peer of this.#peers) peer.abandon();
    }
  }

  /** What every CONNECT says. */
  get connectHeaders() {
    const { addresses, credentials } = this.#running.open;
    return { "accept-version": "1.2", host: addresses.tcp.split(":")[0], ...credentials };
  }

  /** The server that asks for a login. */
  get guarded() {
    return this.#running.guarded;
  }

  /** A connection on which nothing has been said. */
  async open({ addresses } = this.#running.open) {
    const peer = this.#transport === "tcp"
      ? await Peer.tcp(addresses.tcp)
      : await Peer.websocket(addresses.ws);
    this.#peers.push(peer);
    return peer;
  }

  /** One of version 1.2. */
  async connect() {
    const peer = await this.open();
    await peer.connect(this.connectHeaders);
    return peer;
  }

  /** A name that nothing else uses. */
  destination(kind) {
    Context.#destinations += 1;
    return `/${kind}/${process.pid}-rules-${Context.#destinations}`;
  }
}
