// Who is on RabbitMQ's own STOMP plugin and who is on stompbox over RabbitMQ are together: stomp.py there,
// a browser here.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { conversation, notice, seen, visit, write } from "./chat-tab.mjs";
import { launchChromium } from "./chromium.mjs";
import { Driven } from "./clients/driven.mjs";
import { python } from "./clients/interop.mjs";
import { startChat } from "./server.mjs";

/** How many messages each of the two puts into the queue. */
const MESSAGES = 100;

const { RABBITMQ_TCP: plugin, RABBITMQ_AMQP: broker } = process.env;
const { RABBITMQ_LOGIN: login, RABBITMQ_PASSCODE: passcode } = process.env;

let chat, browser;
before(async () => {
  assert.ok(plugin && broker, "RABBITMQ_TCP or RABBITMQ_AMQP is not set: start with tests/live/run");
  chat = await startChat({ broker });
  browser = await launchChromium();
});
after(async () => {
  await browser?.close();
  await chat?.stop();
});

test("they chat in one room", async (t) => {
  const room = process.pid;
  const there = await onPlugin(t);
  const destination = `/topic/room.${room}`;
  await there.do("subscribe", { id: "room", destination, ack: "auto", receipt: true });
  const ann = await visit(browser, chat.addresses.chat, "ann", room);
  const says = (type, text) => {
    const body = JSON.stringify({ chatRoomId: room, type, writer: "bob", text });
    return there.send(destination, body, { headers: { "content-type": "application/json" } });
  };
  const hears = async () => {
    const { headers, body } = await there.message();
    assert.equal(headers.destination, destination);
    assert.equal(headers["content-type"], "application/json");
    const { type, writer, text } = JSON.parse(body);
    return { type, writer, text };
  };

  assert.deepEqual(await hears(), { type: "ENTER", writer: "ann", text: undefined });
  await says("ENTER");
  assert.deepEqual(await hears(), { type: "ENTER", writer: "bob", text: undefined });
  await notice(ann, "bob came in");

  const [annSays, bobSays] = ["Hello Bob – schön, dich zu lesen 🙂", "Grüße, Ann: from stomp.py"];
  await write(ann, annSays);
  assert.deepEqual(await hears(), { type: "MESSAGE", writer: "ann", text: annSays });
  await says("MESSAGE", bobSays);
  assert.deepEqual(await hears(), { type: "MESSAGE", writer: "bob", text: bobSays });
  await seen(ann, bobSays);
  assert.deepEqual(await conversation(ann), [
    { writer: "ann (you)", text: annSays, own: true },
    { writer: "bob", text: bobSays, own: false },
  ]);
});

test("they share one queue: each message comes to one of them", async (t) => {
  const clients = { here: await inBrowser(t), there: await onPlugin(t) };
  const { here, there } = clients;
  const destination = `/queue/shared-${process.pid}`;
  there.messages = here.messages; // who got a message is said by its subscription
  const came = { here: [], there: [] };
  for (const [id, client] of Object.entries(clients)) {
    await client.do("subscribe", { id, destination, ack: "client-individual", receipt: true });
  }
  const sent = [];
  for (const [name, client] of Object.entries(clients)) {
    for (let number = 1; number <= MESSAGES; number += 1) {
      sent.push(`${name} ${number}`);
      await client.send(destination, `${name} ${number}`, { receipt: number === MESSAGES });
    }
  }
  for (let received = 0; received < sent.length; received += 1) {
    const { number, subscription, headers, body } = await here.message();
    assert.equal(headers.redelivered ?? "false", "false");
    came[subscription].push(String(body));
    await clients[subscription].do("ack", { message: number });
  }
  assert.deepEqual([...came.here, ...came.there].sort(), sent.toSorted());
  assert.ok(came.here.length > 0 && came.there.length > 0, JSON.stringify(came));

  // Nothing is left of it.
  await here.do("unsubscribe", { id: "here" });
  await there.do("unsubscribe", { id: "there" });
  await there.do("subscribe", { id: "rest", destination, ack: "auto", receipt: true });
  await here.send(destination, "the last", { receipt: true });
  assert.equal(String((await here.message()).body), "the last");
  assert.deepEqual(here.messages.drain(), []);
});

/** stomp.py, connected to RabbitMQ's own STOMP plugin. */
async function onPlugin(t) {
  const { driver, environment } = python("stomp.py");
  return connect(t, driver, environment, {
    transport: "tcp",
    address: plugin,
    credentials: { login, passcode },
  });
}

/** @stomp/stompjs in Chromium, connected to stompbox. */
async function inBrowser(t) {
  const driver = new URL("clients/stompjs-7/chromium-driver.mjs", import.meta.url).pathname;
  const address = `${chat.addresses.chat.replace("http:", "ws:")}ws`;
  return connect(t, [process.execPath, driver], {}, { transport: "websocket", address });
}

async function connect(t, driver, environment, parameters) {
  const driven = await Driven.start(driver, environment);
  t.after(() => driven.kill());
  await driven.connect({ version: "1.2", ...parameters });
  return driven;
}
