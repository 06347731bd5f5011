// Drives stompjs 2.3.3: over WebSocket as a page does, with the WebSocket of `ws` in place of the
// browser's, and over TCP with what it brings for Node.js.

import { createRequire } from "node:module";

import Stomp from "stompjs";
import { WebSocket } from "ws";

import { Cannot, decodeBody, drive, report, reportMessage } from "../driving.mjs";
import { Receipts } from "../receipts.mjs";

Stomp.WebSocketClass = WebSocket;

class Driver {
  #client;
  #receipts;
  #messages;
  #subscriptions;
  #transactions;

  hello() {
    return { version: createRequire(import.meta.url)("stompjs/package.json").version };
  }

  async connect({ transport, address, version, heartBeat: [outgoing, incoming], credentials }) {
    this.#receipts = new Receipts();
    this.#messages = new Map();
    this.#subscriptions = new Map();
    this.#transactions = new Map();
    Stomp.VERSIONS.supportedVersions = () => version; // else it offers 1.1 and 1.0 at once
    const [host, port] = address.split(":");
    this.#client = transport === "tcp" ? Stomp.overTCP(host, Number(port)) : Stomp.client(address);
    Object.assign(this.#client, { heartbeat: { outgoing, incoming }, debug: null });
    this.#client.onreceipt = ({ headers }) => this.#receipts.arrive(headers["receipt-id"]);
    const connected = await new Promise((resolve, reject) =>
      this.#client.connect(credentials, resolve, (error) => reject(this.#complain(error))));
    return { version: connected.headers.version };
  }

  async subscribe({ id, destination, ack }) {
    const { id: receipt, arrived } = this.#receipts.next();
    const take = (message) => {
      const number = this.#messages.size;
      this.#messages.set(number, message);
      reportMessage(number, id, message.headers, Buffer.from(message.body));
    };
    this.#subscriptions.set(id, this.#client.subscribe(destination, take, { id, ack, receipt }));
    await arrived;
  }

  unsubscribe({ id }) {
    this.#subscriptions.get(id).unsubscribe();
  }

  async send({ destination, headers = {}, body, text, transaction, receipt }) {
    if (!text) throw new Cannot("knows only text");
    const content = decodeBody(body).text;
    const all = { ...headers, ...this.#in(transaction) };
    if (!receipt) return this.#client.send(destination, all, content);
    const { id, arrived } = this.#receipts.next();
    this.#client.send(destination, { ...all, receipt: id }, content);
    await arrived;
  }

  // Not `message.ack()`: of several messages that arrived together it acknowledges the last.
  ack({ message, transaction }) {
    const { headers } = this.#messages.get(message);
    this.#client.ack(headers["message-id"], headers.subscription, this.#in(transaction));
  }

  nack({ message, transaction }) {
    const { headers } = this.#messages.get(message);
    this.#client.nack(headers["message-id"], headers.subscription, this.#in(transaction));
  }

  begin({ transaction }) {
    this.#transactions.set(transaction, this.#client.begin(transaction));
  }

  commit({ transaction }) {
    this.#transactions.get(transaction).commit();
  }

  abort({ transaction }) {
    this.#transactions.get(transaction).abort();
  }

  disconnect() {
    return new Promise((resolve) => this.#client.disconnect(resolve));
  }

  #in(transaction) {
    return transaction === undefined ? {} : { transaction };
  }

  /** Its one callback for errors gets ERROR frames, and a text once the connection is lost. */
  #complain(error) {
    const message = error.headers?.message;
    if (message === undefined) report("closed", { reason: String(error) });
    else report("error", { message, body: error.body });
    this.#receipts.fail(message ?? String(error));
    return new Error(message ?? String(error));
  }
}

drive(new Driver());
