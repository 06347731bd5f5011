// Peers that send garbage, nothing, half a frame or a header without end get their ERROR and a
// close. Whoever else is connected notices nothing, and the server's memory stays flat.

import assert from "node:assert/strict";
import { EventEmitter, once } from "node:events";
import { after, before, test } from "node:test";
import { setImmediate } from "node:timers/promises";

import { within } from "./deadline.mjs";
import { Peer, RawSocket } from "./peer.mjs";
import { startServe } from "./server.mjs";

/** Short, since it is waited for; the default is for people. */
const CONNECT_TIMEOUT_SECONDS = 2;

/** How much the server's resident memory may rise at its highest. */
const GROWTH_ALLOWED = 32 * 1024 * 1024;

/** How long another client may wait for a message of its own meanwhile, in milliseconds. */
const LONGEST_ROUND = 2_000;

/** How many peers of a kind attack at the same time. */
const ABUSERS = 8;

/** The header without end, and the pieces it comes in. */
const HEADER_LENGTH = 100 * 1024 * 1024;
const PIECE = Buffer.alloc(64 * 1024, "a");

/** RFC 6455 §7.4.1. */
const PROTOCOL_ERROR = 1002;
const NOT_UTF8 = 1007;
const POLICY = 1008;
const TOO_BIG = 1009;

let server, witness, memoryBefore;

before(async () => {
  server = await startServe("--connect-timeout", String(CONNECT_TIMEOUT_SECONDS));
  witness = await Witness.start(server.addresses.ws);
  memoryBefore = await server.memory();
});

after(() => server?.stop());

const transports = {
  TCP: () => Peer.tcp(server.addresses.tcp),
  WebSocket: () => Peer.websocket(server.addresses.ws),
};

for (const [name, open] of Object.entries(transports)) {
  const connected = async () => {
    const peer = await open();
    await peer.connect();
    return peer;
  };

  abuse(`garbage over ${name}`, open, [PROTOCOL_ERROR], (peer) => peer.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n\0"));

  abuse(`a command that STOMP does not know over ${name}`, connected, [PROTOCOL_ERROR], (peer) =>
    peer.write("SHOUT\ndestination:/topic/x\n\nhello\0"));

  abuse(`a frame before CONNECT over ${name}`, open, [PROTOCOL_ERROR, POLICY], (peer) =>
    peer.send("SEND", { destination: "/topic/witness" }, "hello"));

  abuse(`nothing over ${name}`, open, [PROTOCOL_ERROR, POLICY], () => {});

  abuse(`only heart-beats over ${name}`, open, [PROTOCOL_ERROR, POLICY], (peer) => peer.write("\n\n"));

  abuse(`half a CONNECT over ${name}`, open, [PROTOCOL_ERROR, POLICY], (peer) =>
    peer.write("CONNECT\naccept-version:1.2\nho"));

  abuse(`a content-length beyond every memory over ${name}`, connected, [PROTOCOL_ERROR, TOO_BIG], (peer) =>
    peer.write("SEND\ndestination:/topic/x\ncontent-length:18446744073709551615\n\nx"));

  abuse(`a header of 100 MiB before CONNECT over ${name}`, open, [TOO_BIG], (peer) =>
    endlessHeader(peer, "CONNECT\nx:"));

  abuse(`a header of 100 MiB after CONNECT over ${name}`, connected, [TOO_BIG], (peer) =>
    endlessHeader(peer, "SEND\ndestination:/topic/x\nx:"));
}

test("octets that are not UTF-8 in a text message", async () => {
  const peer = await Peer.websocket(server.addresses.ws);
  await peer.connect();
  await peer.write(Buffer.from([0xc3, 0x28, 0xff, 0x00]));
  assert.equal((await within(peer.closed, "a close")).code, NOT_UTF8);
  await nobodyNoticed();
});

test("garbage instead of an Upgrade request", async () => {
  const answer = await rawHttp("\x16\x03\x01\x02\x00\x01\x00garbage\r\n\r\n");
  assert.match(answer, /^HTTP\/1\.1 400 /);
  await nobodyNoticed();
});

test("nothing instead of an Upgrade request", async () => {
  const answer = await rawHttp("");
  assert.match(answer, /^HTTP\/1\.1 408 /);
  await nobodyNoticed();
});

test("a request head of 100 MiB", async () => {
  const answer = await rawHttp("GET /ws HTTP/1.1\r\nHost: localhost\r\nX: ", { endless: true });
  assert.match(answer, /^HTTP\/1\.1 431 /);
  await nobodyNoticed();
});

test("a peer that vanishes in the middle of a frame", async () => {
  for (const open of Object.values(transports)) {
    const peer = await open();
    await peer.connect();
    await peer.write("SEND\ndestination:/topic/witness\n\nhal");
    peer.abandon();
  }
  await nobodyNoticed();
});

/** Several peers do the same at once; each is refused, with one of the close codes. */
function abuse(title, open, codes, attack) {
  test(title, async () => {
    await Promise.all(
      Array.from({ length: ABUSERS }, async () => {
        const peer = await open();
        const [{ error, code }] = await Promise.all([peer.refused(), attack(peer)]);
        assert.ok(error.headers.message, "ERROR has a message that says what was wrong");
        if (code !== undefined) assert.ok(codes.includes(code), `close code ${code}, not ${codes}`);
      }),
    );
    await nobodyNoticed();
  });
}

/** Goes on sending whatever the server says until it closes, which has to be long before the end. */
async function endlessHeader(peer, start) {
  await peer.write(start);
  let sent = 0;
  while (sent < HEADER_LENGTH && (await peer.write(PIECE))) {
    sent += PIECE.length;
    await setImmediate(); // listens between the pieces
  }
  assert.ok(sent < HEADER_LENGTH, "the server read 100 MiB of a header");
}

/** What the server answers to an unfinished request head, until it closes. */
async function rawHttp(octets, { endless = false } = {}) {
  const { host } = new URL(server.addresses.ws);
  const socket = await RawSocket.open(host);
  let answer = "";
  socket.onOctets = (received) => (answer += received.toString("latin1"));
  if (octets !== "") await socket.write(Buffer.from(octets, "latin1"));
  if (endless) await endlessHeader(socket, "");
  await within(socket.closed, "the close after the answer");
  return answer;
}

async function nobodyNoticed() {
  const slowest = await witness.goesOn();
  assert.ok(slowest < LONGEST_ROUND, `another client waited ${slowest} ms for its message`);
  const { peak } = await server.memory();
  const growth = peak - memoryBefore.peak;
  assert.ok(growth < GROWTH_ALLOWED, `resident memory rose by ${growth} bytes`);
}

/** A client that passes a message round without a pause: each that arrives is answered by the next. */
class Witness {
  #peer;
  #slowest = 0;
  #rounds = new EventEmitter();
  #failure = null;

  static async start(url) {
    const witness = new Witness();
    witness.#peer = await Peer.websocket(url);
    await witness.#peer.connect();
    await witness.#peer.subscribe("witness", "/topic/witness");
    witness.#go().catch((error) => {
      witness.#failure = error;
      witness.#rounds.emit("error", error);
    });
    witness.#rounds.on("error", () => {}); // told to who asks
    return witness;
  }

  /** Waits for a round that begins now, and returns how long the slowest since the last call took. */
  async goesOn() {
    for (let round = 0; round < 2; round += 1) {
      if (this.#failure !== null) throw this.#failure;
      await within(once(this.#rounds, "round"), "another client's message");
    }
    const slowest = this.#slowest;
    this.#slowest = 0;
    return slowest;
  }

  async #go() {
    for (let number = 0; ; number += 1) {
      const begun = performance.now();
      await this.#peer.send("SEND", { destination: "/topic/witness" }, String(number));
      const { body } = await this.#peer.expect("MESSAGE", { subscription: "witness" });
      assert.equal(body.toString(), String(number));
      this.#slowest = Math.max(this.#slowest, performance.now() - begun);
      this.#rounds.emit("round");
    }
  }
}
