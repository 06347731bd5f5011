// Ctrl-C: every client is told, and the program ends by itself.

import assert from "node:assert/strict";
import { test } from "node:test";

import { within } from "./deadline.mjs";
import { Peer } from "./peer.mjs";
import { startChat, startServe } from "./server.mjs";

/** RFC 6455 §7.4.1: "going away"; and the registered "service restart". */
const GOING_AWAY = [1001, 1012];

for (const [name, start, url] of [
  ["stompbox serve", startServe, ({ ws }) => ws],
  ["the chat example", startChat, ({ chat }) => `${chat.replace("http", "ws")}ws`],
]) {
  test(`${name} closes its connections at SIGINT and ends with exit code 0`, async () => {
    const server = await start();
    const browser = await Peer.websocket(url(server.addresses));
    const program = await Peer.tcp(server.addresses.tcp);
    await Promise.all([browser.connect(), program.connect()]);
    await Promise.all([browser.subscribe("room", "/topic/room/5"), program.subscribe("room", "/topic/room/5")]);

    await server.stop();

    const { code } = await within(browser.closed, "a close frame");
    assert.ok(GOING_AWAY.includes(code), `close code ${code}`);
    await within(program.closed, "the end of the TCP connection");
  });
}
