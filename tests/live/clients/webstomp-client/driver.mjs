// Drives webstomp-client on the WebSocket of `ws`.

import { createRequire } from "node:module";

import webstomp from "webstomp-client";
import { WebSocket } from "ws";

import { Cannot, decodeBody, drive, report, reportMessage } from "../driving.mjs";
import { Receipts } from "../receipts.mjs";

class Driver {
  #client;
  #receipts;
  #messages;
  #subscriptions;
  #transactions;

  hello() {
    return { version: createRequire(import.meta.url)("webstomp-client/package.json").version };
  }

  async connect({ address, version, heartBeat: [outgoing, incoming], credentials }) {
    this.#receipts = new Receipts();
    this.#messages = new Map();
    this.#subscriptions = new Map();
    this.#transactions = new Map();
    // It speaks the version of the subprotocol that the server chooses.
    const socket = new WebSocket(address, [`v${version.replace(".", "")}.stomp`]);
    this.#client = webstomp.over(socket, { heartbeat: { outgoing, incoming }, debug: false });
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

  async unsubscribe({ id }) {
    const { id: receipt, arrived } = this.#receipts.next();
    this.#subscriptions.get(id).unsubscribe({ receipt });
    await arrived;
  }

  async send({ destination, headers = {}, body, text, transaction, receipt }) {
    if (!text) throw new Cannot("knows only text");
    const content = decodeBody(body).text;
    const all = { ...headers, ...this.#in(transaction) };
    if (!receipt) return this.#client.send(destination, content, all);
    const { id, arrived } = this.#receipts.next();
    this.#client.send(destination, content, { ...all, receipt: id });
    await arrived;
  }

  ack({ message, transaction }) {
    this.#messages.get(message).ack(this.#in(transaction));
  }

  nack({ message, transaction }) {
    this.#messages.get(message).nack(this.#in(transaction));
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

  /** Its one callback for errors gets ERROR frames and the close of the WebSocket. */
  #complain(error) {
    const message = error.headers?.message;
    if (message === undefined) report("closed", { code: error.code });
    else report("error", { message, body: error.body });
    this.#receipts.fail(message ?? "the connection was closed");
    return new Error(message ?? `the connection was closed: ${error.code}`);
  }
}

drive(new Driver());
