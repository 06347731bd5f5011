// A peer that sends exactly the octets it is told to, over TCP or WebSocket.

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";

import { WebSocket } from "ws";

import { Inbox, within } from "./deadline.mjs";
import { encodeFrame, FrameDecoder } from "./stomp.mjs";

/** A TCP connection that knows no protocol. */
export class RawSocket {
  #socket;

  /** Called with what arrives. */
  onOctets = () => {};

  /** When the connection has ended. */
  closed;

  /** Connects to `host:port`. */
  static async open(address) {
    const colon = address.lastIndexOf(":");
    const socket = connect(Number(address.slice(colon + 1)), address.slice(0, colon));
    await within(once(socket, "connect"), `a connection to ${address}`);
    return new RawSocket(socket);
  }

  constructor(socket) {
    this.#socket = socket;
    this.closed = new Promise((resolve) => socket.on("close", () => resolve({})));
    socket.on("error", () => {}); // a reset ends in `close` too
    socket.on("data", (octets) => this.onOctets(octets));
  }

  /** Sends octets as they are; resolves to whether the socket took them. */
  write(octets) {
    return new Promise((resolve) => this.#socket.write(octets, (failure) => resolve(!failure)));
  }

  /** Is gone, without a word. */
  abandon() {
    this.#socket.destroy();
  }
}

/** One STOMP connection; what arrives is cut into frames. */
export class Peer {
  #decoder = new FrameDecoder();
  #frames = new Inbox();
  #write;

  /** Is gone, without a word. */
  abandon;

  /** When the connection has ended: the close code and reason of the WebSocket, or `{}` for TCP. */
  closed;

  /** Over TCP, to `host:port`. */
  static async tcp(address) {
    const socket = await RawSocket.open(address);
    const peer = new Peer((octets) => socket.write(octets), socket.closed);
    socket.onOctets = (octets) => peer.#take(octets);
    peer.abandon = () => socket.abandon();
    return peer;
  }

  /** Over a WebSocket that offers `v12.stomp`. */
  static async websocket(url) {
    const socket = new WebSocket(url, ["v12.stomp"], { perMessageDeflate: false });
    const ended = new Promise((resolve) =>
      socket.on("close", (code, reason) => resolve({ code, reason: String(reason) })));
    const write = (octets) =>
      new Promise((resolve) => socket.send(octets, { binary: false }, (failure) => resolve(!failure)));
    const peer = new Peer(write, ended);
    socket.on("message", (octets) => peer.#take(octets));
    peer.abandon = () => socket.terminate();
    await within(once(socket, "open"), `a WebSocket to ${url}`);
    socket.on("error", () => {}); // a reset ends in `close` too
    assert.equal(socket.protocol, "v12.stomp");
    return peer;
  }

  constructor(write, ended) {
    this.#write = write;
    this.closed = ended.then((close) => {
      this.#frames.end("the connection was closed");
      return close;
    });
  }

  /** Sends octets as they are; resolves to whether the socket took them. */
  write(octets) {
    return this.#write(octets);
  }

  send(command, headers, body) {
    return this.write(encodeFrame(command, headers, body));
  }

  /** The next frame, whatever it is. */
  next(what = "a frame") {
    return this.#frames.next(what);
  }

  /** The next frame, which has to have this command and these headers. */
  async expect(command, headers = {}) {
    const frame = await this.next(`${command} ${JSON.stringify(headers)}`);
    const found = { command: frame.command };
    for (const name of Object.keys(headers)) found[name] = frame.headers[name];
    assert.deepEqual(found, { command, ...headers }, `${frame.headers.message ?? ""} ${frame.body}`);
    return frame;
  }

  /** CONNECT without heart-beats, and the CONNECTED that answers it. */
  async connect(headers = {}) {
    await this.send("CONNECT", { "accept-version": "1.2", host: "localhost", ...headers });
    return this.expect("CONNECTED", { version: "1.2" });
  }

  /** SUBSCRIBE, once its RECEIPT is here. */
  async subscribe(id, destination) {
    await this.send("SUBSCRIBE", { id, destination, receipt: `subscribe-${id}` });
    await this.expect("RECEIPT", { "receipt-id": `subscribe-${id}` });
  }

  /** DISCONNECT; its RECEIPT has to be the next frame, then the server closes. */
  async disconnect() {
    await this.send("DISCONNECT", { receipt: "disconnect" });
    await this.expect("RECEIPT", { "receipt-id": "disconnect" });
    return within(this.closed, "the close after DISCONNECT");
  }

  /** The ERROR that has to be the next and last frame, and the close after it. */
  async refused() {
    const error = await this.expect("ERROR");
    const close = await within(this.closed, "the close after ERROR");
    assert.deepEqual(this.#frames.drain(), [], "nothing comes after ERROR");
    return { error, ...close };
  }

  #take(octets) {
    for (const frame of this.#decoder.feed(octets)) this.#frames.push(frame);
  }
}
