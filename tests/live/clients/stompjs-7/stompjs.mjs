// What a driver of @stomp/stompjs does, in Node.js and in a page.

import { Client, Versions } from "@stomp/stompjs";

import { Receipts } from "../receipts.mjs";

/** The library at the hands of the test; a subclass says how to get to the server. */
export class StompjsDriver {
  #report;
  #reportMessage;
  #client;
  #receipts;
  #messages;
  #subscriptions;
  #transactions;

  /** `report(event, details)` and `reportMessage(number, subscription, headers, octets)` tell the test. */
  constructor(report, reportMessage) {
    this.#report = report;
    this.#reportMessage = reportMessage;
  }

  /** Where the server is, as settings of the client. */
  server({ address }) {
    return { brokerURL: address };
  }

  async connect({ version, heartBeat: [outgoing, incoming], credentials, ...where }) {
    this.#receipts = new Receipts();
    this.#messages = new Map();
    this.#subscriptions = new Map();
    this.#transactions = new Map();
    await new Promise((resolve, reject) => {
      this.#client = new Client({
        ...this.server(where),
        connectHeaders: credentials,
        stompVersions: new Versions([version]),
        heartbeatOutgoing: outgoing,
        heartbeatIncoming: incoming,
        reconnectDelay: 0,
        onConnect: () => resolve(),
        onStompError: ({ headers, body }) => {
          this.#report("error", { message: headers.message, body });
          this.#receipts.fail(headers.message);
          reject(new Error(headers.message));
        },
        onWebSocketClose: ({ code }) => {
          this.#report("closed", { code });
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
      this.#reportMessage(number, id, message.headers, message.binaryBody);
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
    const octets = Uint8Array.from(atob(body), (character) => character.charCodeAt(0));
    const publish = (extra) => this.#client.publish({
      destination,
      headers: { ...headers, ...this.#in(transaction), ...extra },
      ...(text ? { body: new TextDecoder().decode(octets) } : { binaryBody: octets }),
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
