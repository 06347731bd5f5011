// One room of 200 subscribers, 2,000 messages: each arrives at each once and in order.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Peer } from "./peer.mjs";
import { startServe } from "./server.mjs";

const SUBSCRIBERS = 200;
const MESSAGES = 2_000;
const ROOM = "/topic/fanout";

test(`${SUBSCRIBERS} subscribers get ${MESSAGES} messages once and in order`, async (t) => {
  const server = await startServe();
  t.after(() => server.stop());
  const subscribers = await Promise.all(
    Array.from({ length: SUBSCRIBERS }, async () => {
      const subscriber = await Peer.websocket(server.addresses.ws);
      await subscriber.connect();
      await subscriber.subscribe("room", ROOM);
      return subscriber;
    }),
  );
  const publisher = await Peer.websocket(server.addresses.ws);
  await publisher.connect();

  const reading = Promise.all(subscribers.map(readAll));
  for (let number = 0; number < MESSAGES; number += 1) {
    await publisher.send("SEND", { destination: ROOM }, `message ${number}`);
  }
  await reading;

  // Had anything come twice, it would stand before the RECEIPT of DISCONNECT.
  await Promise.all([publisher, ...subscribers].map((peer) => peer.disconnect()));
});

async function readAll(subscriber) {
  const identifiers = new Set();
  for (let number = 0; number < MESSAGES; number += 1) {
    const { headers, body } = await subscriber.expect("MESSAGE", { subscription: "room", destination: ROOM });
    assert.equal(body.toString(), `message ${number}`);
    identifiers.add(headers["message-id"]);
  }
  assert.equal(identifiers.size, MESSAGES, "each message has a message-id of its own");
}
