// Drives stompit, which knows TCP only.

import { createRequire } from "node:module";

import stompit from "stompit";

import { Cannot, decodeBody, drive, report, reportMessage } from "../driving.mjs";

class Driver {
  #client;
  #fail;
  #messages;
  #subscriptions;
  #transactions;

  hello() {
    return { version: createRequire(import.meta.url)("stompit/package.json").version };
  }

  async connect({ address, version, heartBeat, credentials }) {
    this.#messages = new Map();
    this.#subscriptions = new Map();
    this.#transactions = new Map();
    const [host, port] = address.split(":");
    const connectHeaders = {
      "accept-version": version,
      "heart-beat": heartBeat.join(","),
      ...credentials,
    };
    this.#client = await new Promise((resolve, reject) =>
      stompit.connect({ host, port: Number(port), connectHeaders }, (error, client) => {
        if (error === null) return resolve(client);
        report("error", { message: error.message });
        reject(error);
      }));
    const failed = new Promise((_, reject) => (this.#fail = reject));
    failed.catch(() => {}); // of interest only to who waits for something else
    this.#client.on("error", (error) => {
      report("error", { message: error.message });
      this.#fail(error);
    });
    return { version: this.#client.headers.version };
  }

  subscribe({ id, destination, ack, receipt }) {
    if (receipt) throw new Cannot("takes a RECEIPT of SUBSCRIBE for a protocol error");
    const subscription = this.#client.subscribe({ id, destination, ack }, (error, message) => {
      if (error) return;
      const octets = [];
      message.on("data", (chunk) => octets.push(chunk));
      message.on("end", () => {
        const number = this.#messages.size;
        this.#messages.set(number, message);
        reportMessage(number, id, message.headers, Buffer.concat(octets));
      });
    });
    this.#subscriptions.set(id, subscription);
  }

  unsubscribe({ id }) {
    this.#subscriptions.get(id).unsubscribe();
  }

  send({ destination, headers = {}, body, transaction, receipt }) {
    const all = { ...headers, destination, "content-length": decodeBody(body).octets.length };
    return new Promise((resolve, reject) => {
      this.#client.once("error", reject);
      const options = receipt ? { onReceipt: resolve } : {};
      const sender = this.#transactions.get(transaction) ?? this.#client;
      sender.send(all, options).end(decodeBody(body).octets, receipt ? undefined : () => resolve());
    });
  }

  ack({ message, transaction }) {
    this.#client.ack(this.#messages.get(message), this.#in(transaction));
  }

  nack({ message, transaction }) {
    this.#client.nack(this.#messages.get(message), this.#in(transaction));
  }

  begin({ transaction }) {
    this.#transactions.set(transaction, this.#client.begin({ transaction }));
  }

  commit({ transaction }) {
    this.#transactions.get(transaction).commit();
  }

  abort({ transaction }) {
    this.#transactions.get(transaction).abort();
  }

  disconnect() {
    return new Promise((resolve, reject) =>
      this.#client.disconnect((error) => (error ? reject(error) : resolve())));
  }

  #in(transaction) {
    return transaction === undefined ? {} : { transaction };
  }
}

drive(new Driver());
