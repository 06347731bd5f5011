// Drives @stomp/rx-stomp, over WebSocket and, with @stomp/tcp-wrapper, over TCP.

import { readFileSync } from "node:fs";

import { RxStomp, RxStompState } from "@stomp/rx-stomp";
import { Versions } from "@stomp/stompjs";
import { TCPWrapper } from "@stomp/tcp-wrapper";
import { firstValueFrom, skip } from "rxjs";
import { WebSocket } from "ws";

import { decodeBody, drive, report, reportMessage } from "../driving.mjs";

Object.assign(globalThis, { WebSocket }); // what it expects to find

class Driver {
  #stomp;
  #receipts = 0;
  #messages;
  #subscriptions;
  #transactions;

  hello() {
    const manifest = new URL("../../node_modules/@stomp/rx-stomp/package.json", import.meta.url);
    return { version: JSON.parse(readFileSync(manifest, "utf8")).version };
  }

  async connect({ transport, address, version, heartBeat: [outgoing, incoming], credentials }) {
    this.#messages = new Map();
    this.#subscriptions = new Map();
    this.#transactions = new Map();
    const [host, port] = address.split(":");
    const server = transport === "tcp"
      ? { webSocketFactory: () => new TCPWrapper(host, Number(port)) }
      : { brokerURL: address };
    this.#stomp = new RxStomp();
    this.#stomp.configure({
      ...server,
      connectHeaders: credentials,
      stompVersions: new Versions([version]),
      heartbeatOutgoing: outgoing,
      heartbeatIncoming: incoming,
      reconnectDelay: 0,
    });
    const refused = firstValueFrom(this.#stomp.stompErrors$).then(({ headers, body }) => {
      report("error", { message: headers.message, body });
      throw new Error(headers.message);
    });
    refused.catch(() => {}); // of interest only before CONNECTED
    // The first state is that of a client which has not begun to connect.
    const states = this.#stomp.connectionState$.pipe(skip(1));
    states.subscribe((state) => state === RxStompState.CLOSED && report("closed"));
    this.#stomp.activate();
    await Promise.race([firstValueFrom(this.#stomp.connected$), refused]);
    return { version: this.#stomp.stompClient.connectedVersion };
  }

  subscribe({ id, destination, ack }) {
    const take = (message) => {
      const number = this.#messages.size;
      this.#messages.set(number, message);
      reportMessage(number, id, message.headers, message.binaryBody);
    };
    return this.#receipted((receipt) => {
      const messages = this.#stomp.watch({ destination, subHeaders: { id, ack, receipt } });
      this.#subscriptions.set(id, messages.subscribe(take));
    });
  }

  unsubscribe({ id }) {
    this.#subscriptions.get(id).unsubscribe();
  }

  send({ destination, headers = {}, body, text, transaction, receipt }) {
    const content = decodeBody(body);
    const publish = (extra) => this.#stomp.publish({
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

  // Transactions are those of the stompjs client underneath, which it exposes for the purpose.
  begin({ transaction }) {
    this.#transactions.set(transaction, this.#stomp.stompClient.begin(transaction));
  }

  commit({ transaction }) {
    this.#transactions.get(transaction).commit();
  }

  abort({ transaction }) {
    this.#transactions.get(transaction).abort();
  }

  disconnect() {
    return this.#stomp.deactivate();
  }

  #in(transaction) {
    return transaction === undefined ? {} : { transaction };
  }

  async #receipted(act) {
    this.#receipts += 1;
    const receipt = `receipt-${this.#receipts}`;
    const arrived = this.#stomp.asyncReceipt(receipt);
    act(receipt);
    await arrived;
  }
}

drive(new Driver());
