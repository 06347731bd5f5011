// Drives @stomp/stompjs, over WebSocket and, with @stomp/tcp-wrapper, over TCP.

import { readFileSync } from "node:fs";

import { Client, Versions } from "@stomp/stompjs";
import { TCPWrapper } from "@stomp/tcp-wrapper";
import { WebSocket } from "ws";

import { decodeBody, drive, Receipts, report, reportMessage } from "../driving.mjs";

Object.assign(globalThis, { WebSocket }); // what stompjs expects to find

class Driver {
  #client;
  #receipts;
  #messages;
  #subscriptions;
  #transactions;

  hello() {
    const manifest = new URL("../../node_modules/@stomp/stompjs/package.json", import.meta.url);
    return { version: JSON.parse(readFileSync(manifest, "utf8")).version };
  }

  async connect({ transport, address, version, heartBeat: [outgoing, incoming], credentials }) {
    this.#receipts = new Receipts();
    this.#messages = new Map();
    this.#subscriptions = new Map();
    this.#transactions = new Map();
    const [host, port] = address.split(":");
    const server = transport === "tcp"
      ? { webSocketFactory: () => new TCPWrapper(host, Number(port)) }
      : { brokerURL: address };
    await new Promise((resolve, reject) => {
      this.#client = new Client({
        ...server,
        connectHeaders: credentials,
        stompVersions: new Versions([version]),
        heartbeatOutgoing: outgoing,
        heartbeatIncoming: incoming,
        reconnectDelay: 0,
        onConnect: resolve,
        onStompError: ({ headers, body }) => {
          report("error", { message: headers.message, body });
          this.#receipts.fail(headers.message);
          reject(new Error(headers.message));
        },
        onWebSocketClose: ({ code }) => {
          report("closed", { code });
          this.#receipts.fail("the connection was closed");
          reject(new Error("the connection was closed"));
        },
      });
      this.#client.activate();
    });
    return { version: this.#client.connectedVersion };
  }

  subscribe({ id, destination, ack }) {
    const take = (message) => {
      const number = this.#messages.size;
      this.#messages.set(number, message);
      reportMessage(number, id, message.headers, message.binaryBody);
    };
    return this.#receipted((receipt) => {
      const subscription = this.#client.subscribe(destination, take, { id, ack, receipt });
      this.#subscriptions.set(id, subscription);
    });
  }

  unsubscribe({ id }) {
    return this.#receipted((receipt) => this.#subscriptions.get(id).unsubscribe({ receipt }));
  }

  send({ destination, headers = {}, body, text, transaction, receipt }) {
    const content = decodeBody(body);
    const publish = (extra) => this.#client.publish({
      destination,
      headers: { ...headers, ...this.#in(transaction), ...extra },
      ...(text ? { body: content.text } : { binaryBody: new Uint8Array(content.octets) }),
    });
    if (!receipt) return publish({});
    return this.#receipted((id) => publish({ receipt: id }));
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
    return this.#client.deactivate();
  }

  #in(transaction) {
    return transaction === undefined ? {} : { transaction };
  }

  async #receipted(act) {
    const { id, arrived } = this.#receipts.next();
    this.#client.watchForReceipt(id, () => this.#receipts.arrive(id));
    act(id);
    await arrived;
  }
}

drive(new Driver());
