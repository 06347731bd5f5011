// @stomp/stompjs 7 in Node.js, which most people's browsers run, in every version of STOMP.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { Client, Versions } from "@stomp/stompjs";
import { WebSocket } from "ws";

import { Inbox, within } from "../deadline.mjs";
import { Peer } from "../peer.mjs";
import { startServe } from "../server.mjs";

Object.assign(globalThis, { WebSocket }); // what stompjs expects to find

const VERSIONS = [Versions.V1_0, Versions.V1_1, Versions.V1_2];

let server;
before(async () => (server = await startServe()));
after(() => server?.stop());

for (const version of VERSIONS) {
  test(`${version}: connect, subscribe, publish, unsubscribe, deactivate`, async () => {
    const peer = await Stompjs.connect(server, { stompVersions: new Versions([version]) });
    assert.equal(peer.client.connectedVersion, version);
    assert.equal(peer.client.webSocket.protocol, `v${version.replace(".", "")}.stomp`);

    const messages = await peer.subscribe(`/topic/stompjs-${version}`);
    await peer.publish({ destination: messages.destination, body: "hello – 你好 🙂" });
    const message = await messages.next();
    assert.equal(message.body, "hello – 你好 🙂");
    assert.equal(message.headers.destination, messages.destination);
    assert.ok(message.headers["message-id"]);

    // The second subscription sees what the first, which has ended, no longer does.
    const others = await peer.subscribe(messages.destination);
    await messages.unsubscribe();
    await peer.publish({ destination: messages.destination, body: "after" });
    assert.equal((await others.next()).body, "after");
    assert.deepEqual(messages.drain(), []);

    await peer.deactivate();
  });

  test(`${version}: a body that holds a NUL and every other octet comes back as it was`, async () => {
    const peer = await Stompjs.connect(server, { stompVersions: new Versions([version]) });
    const messages = await peer.subscribe(`/topic/binary-${version}`);
    for (const octets of [
      Uint8Array.from({ length: 256 }, (_, octet) => octet),
      Uint8Array.from([0]),
      new TextEncoder().encode("text\0with a NUL, valid UTF-8"),
      Uint8Array.from({ length: 1 << 18 }, (_, index) => (index * 31) % 251),
    ]) {
      await peer.publish({ destination: messages.destination, binaryBody: octets });
      assert.deepEqual(Buffer.from((await messages.next()).binaryBody), Buffer.from(octets));
    }
    await peer.deactivate();
  });

  test(`${version}: a SEND that nobody handles is answered by ERROR and a close`, async () => {
    const peer = await Stompjs.connect(server, { stompVersions: new Versions([version]) });
    peer.client.publish({ destination: "/nobody/here", headers: { receipt: "unheard" }, body: "x" });
    const error = await peer.errors.next("an ERROR");
    assert.match(`${error.headers.message} ${error.body}`, /\/nobody/);
    assert.equal(error.headers["receipt-id"], "unheard");
    await peer.closes.next("a close");
  });
}

test("with all versions offered the highest is chosen", async () => {
  const peer = await Stompjs.connect(server);
  assert.equal(peer.client.connectedVersion, "1.2");
  assert.equal(peer.client.webSocket.protocol, "v12.stomp");
  await peer.deactivate();
});

test("1.2: Unicode, colon, backslash and line ends in the value of a header", async () => {
  const peer = await Stompjs.connect(server, { stompVersions: new Versions([Versions.V1_2]) });
  const messages = await peer.subscribe("/topic/headers");
  const headers = {
    colons: "a:b::c",
    backslashes: "C:\\Temp\\\\",
    lines: "first\nsecond\r\nthird",
    unicode: "Grüße, 日本語, 🙂",
    empty: "",
  };
  await peer.publish({ destination: messages.destination, headers, body: "x" });
  const received = (await messages.next()).headers;
  for (const [name, value] of Object.entries(headers)) assert.equal(received[name], value, name);

  // A backslash before n, r or c: stompjs escapes it well but reads it back wrongly, so that
  // somebody else has to say what the server made of it.
  const reader = await Peer.websocket(server.addresses.ws);
  await reader.connect();
  await reader.subscribe("reader", messages.destination);
  const path = "C:\\new\\rooms\\c:";
  await peer.publish({ destination: messages.destination, headers: { path }, body: "x" });
  await reader.expect("MESSAGE", { path });
  await reader.disconnect();
  await peer.deactivate();
});

test("a frame that stompjs splits into several WebSocket messages", async () => {
  const peer = await Stompjs.connect(server, { splitLargeFrames: true, maxWebSocketChunkSize: 1_000 });
  const messages = await peer.subscribe("/topic/split");
  const body = "0123456789".repeat(5_000);
  await peer.publish({ destination: messages.destination, body });
  assert.equal((await messages.next()).body, body);
  await peer.deactivate();
});

for (const version of [Versions.V1_1, Versions.V1_2]) {
  test(`${version}: heart-beats are negotiated, and both sides send them`, async () => {
    const beats = new Inbox();
    const peer = await Stompjs.connect(server, {
      stompVersions: new Versions([version]),
      heartbeatIncoming: 1_000,
      heartbeatOutgoing: 1_000,
      onHeartbeatReceived: () => beats.push("received"),
      debug: (line) => line === ">>> PING" && beats.push("sent"),
    });
    const [sends, wants] = peer.connected.headers["heart-beat"].split(",").map(Number);
    assert.ok(sends > 0 && wants > 0, `the server offers ${sends},${wants}`);
    const patience = 3 * Math.max(1_000, sends, wants);
    const kinds = new Set();
    while (kinds.size < 2) kinds.add(await beats.next("heart-beats of both sides", patience));
    await peer.deactivate();
  });
}

test("login and passcode: right, wrong and missing", async (t) => {
  // CONNECT is never escaped: what looks like an escape, or a second colon, is part of the value.
  const [login, passcode] = ["ann", "s:3cr\\net"];
  const guarded = await startServe("--login", login, "--passcode", passcode);
  t.after(() => guarded.stop());

  const peer = await Stompjs.connect(guarded, { connectHeaders: { login, passcode } });
  const messages = await peer.subscribe("/topic/guarded");
  await peer.publish({ destination: messages.destination, headers: { login, passcode }, body: "in" });
  const { headers, body } = await messages.next();
  assert.equal(body, "in");
  assert.deepEqual([headers.login, headers.passcode], [undefined, undefined], "nobody is shown a passcode");
  await peer.deactivate();

  for (const connectHeaders of [{ login, passcode: "wrong" }, { login: "bob", passcode }, { login }, {}]) {
    const refused = new Stompjs(guarded, { connectHeaders });
    refused.client.activate();
    const error = await refused.errors.next("an ERROR");
    assert.ok(error.headers.message);
    assert.doesNotMatch(`${error.headers.message} ${error.body}`, /s:3cr/, "the ERROR does not tell");
    await refused.closes.next("a close");
    assert.equal(refused.client.connected, false);
    await refused.client.deactivate();
  }
});

/** A stompjs client whose callbacks can be awaited; it does not reconnect. */
class Stompjs {
  #receipts = 0;
  #connects = new Inbox();
  #disconnects = new Inbox();
  #refuse;
  #refused = new Promise((_, reject) => (this.#refuse = reject));
  errors = new Inbox();
  closes = new Inbox();

  /** The CONNECTED frame. */
  connected = null;

  /** A client that is connected to the server. */
  static async connect(server, configuration) {
    const peer = new Stompjs(server, configuration);
    peer.client.activate();
    peer.connected = await Promise.race([peer.#connects.next("CONNECTED"), peer.#refused]);
    return peer;
  }

  constructor(server, configuration = {}) {
    this.#refused.catch(() => {}); // of interest only to who waits for something else
    this.client = new Client({
      brokerURL: server.addresses.ws,
      reconnectDelay: 0,
      onConnect: (frame) => this.#connects.push(frame),
      onDisconnect: (frame) => this.#disconnects.push(frame),
      onStompError: (frame) => {
        this.errors.push(frame);
        this.#refuse(new Error(`the server answered ERROR: ${frame.headers.message}`));
      },
      onWebSocketClose: (close) => {
        this.closes.push(close);
        this.#refuse(new Error(`the connection was closed: ${close.code} ${close.reason}`));
      },
      ...configuration,
    });
  }

  /** Publishes, and waits until the server says that it has the message. */
  publish(message) {
    return this.#receipted((receipt) =>
      this.client.publish({ ...message, headers: { ...message.headers, receipt } }));
  }

  /** A subscription that the server has confirmed. */
  async subscribe(destination) {
    const messages = new Inbox();
    let subscription;
    await this.#receipted((receipt) => {
      subscription = this.client.subscribe(destination, (message) => messages.push(message), { receipt });
    });
    return {
      destination,
      next: () => messages.next(`a message on ${destination}`),
      drain: () => messages.drain(),
      unsubscribe: () => this.#receipted((receipt) => subscription.unsubscribe({ receipt })),
    };
  }

  /** Ends the session: DISCONNECT is answered by a RECEIPT, and the close is a clean one. */
  async deactivate() {
    const deactivated = this.client.deactivate();
    const receipt = await this.#disconnects.next("the RECEIPT of DISCONNECT");
    assert.equal(receipt.command, "RECEIPT");
    await within(deactivated, "stompjs to deactivate");
    const { code, wasClean } = await this.closes.next("a close");
    // stompjs closes without a code, which the server has to echo, unless the server was faster.
    assert.ok(wasClean && [1000, 1005].includes(code), `close code ${code}`);
    assert.deepEqual(this.errors.drain(), []);
  }

  async #receipted(act) {
    this.#receipts += 1;
    const receipt = `receipt-${this.#receipts}`;
    const answered = new Promise((resolve) => this.client.watchForReceipt(receipt, resolve));
    act(receipt);
    await within(Promise.race([answered, this.#refused]), `the RECEIPT ${receipt}`);
  }
}
