// Stands between a client and the server, passes everything on, and counts the heart-beats.

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer } from "node:net";

import { within } from "../deadline.mjs";

const LF = 0x0a;
const TEXT = 0x81;
const BINARY = 0x82;

/** A listener in front of a server; `address` is the server's, with another port. */
export class HeartBeatCounter {
  #listener;
  #sockets = new Set();
  #waiting = new Set();
  #counted = { client: 0, server: 0 };

  static async start(transport, address) {
    const counter = new HeartBeatCounter();
    const target = /(?<host>[\d.]+):(?<port>\d+)/.exec(address);
    counter.#listener = createServer((client) => counter.#join(client, target.groups));
    counter.#listener.listen(0, target.groups.host);
    await once(counter.#listener, "listening");
    counter.address = address.replace(target[0], `${target.groups.host}:${counter.#listener.address().port}`);
    counter.isBeat = transport === "tcp" ? isLineFeed : isLineFeedMessage;
    return counter;
  }

  /** Waits until each side has sent so many. */
  async both(count, milliseconds) {
    const reached = new Promise((resolve) => {
      const look = () => {
        if (this.#counted.client >= count && this.#counted.server >= count) resolve();
      };
      this.#waiting.add(look);
      look();
    });
    try {
      await within(reached, `${count} heart-beats of each side`, milliseconds);
    } catch (error) {
      const { client, server } = this.#counted;
      assert.fail(`${error.message}: the client sent ${client}, the server ${server}`);
    }
  }

  stop() {
    this.#listener.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  #join(client, { host, port }) {
    const server = connect(Number(port), host);
    this.#pass(client, server, "client");
    this.#pass(server, client, "server");
  }

  #pass(from, to, side) {
    from.setNoDelay(true);
    this.#sockets.add(from);
    from.on("error", () => to.destroy());
    from.on("end", () => to.end());
    from.on("close", () => to.destroy());
    from.on("data", (octets) => {
      to.write(octets);
      if (!this.isBeat(octets)) return;
      this.#counted[side] += 1;
      for (const look of this.#waiting) look();
    });
  }
}

/** A heart-beat is sent when nothing else is, so that it arrives alone. */
function isLineFeed(octets) {
  return octets.length === 1 && octets[0] === LF;
}

/** The same as the only WebSocket message in the octets, masked or not. */
function isLineFeedMessage(octets) {
  const [head, length, ...rest] = octets;
  if (head !== TEXT && head !== BINARY) return false;
  if (length === 0x01) return rest.length === 1 && rest[0] === LF;
  return length === 0x81 && rest.length === 5 && (rest[0] ^ rest[4]) === LF;
}
