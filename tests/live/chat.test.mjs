// The chat example as people see it: tabs of a real browser, and nc.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { after, before, test } from "node:test";

import { connected, conversation, notice, seen, visit, write } from "./chat-tab.mjs";
import { launchChromium, openTab, screenshot } from "./chromium.mjs";
import { Inbox, within } from "./deadline.mjs";
import { startChat } from "./server.mjs";
import { FrameDecoder } from "./stomp.mjs";

let browser;
before(async () => (browser = await launchChromium()));
after(() => browser?.close());

test("two tabs in room 5 exchange messages, a third in room 6 sees none of them", async (t) => {
  const chat = await serve(t);
  const [ann, bob, eve] = [await chat.visit("ann", 5), await chat.visit("bob", 5), await chat.visit("eve", 6)];

  await write(ann, "Hello Bob");
  await seen(bob, "Hello Bob");
  await write(bob, "Hello Ann – schön, dich zu lesen 🙂");
  await seen(ann, "Hello Ann – schön, dich zu lesen 🙂");
  await write(eve, "Is anybody here?");
  await seen(eve, "Is anybody here?");

  assert.deepEqual(await conversation(ann), [
    { writer: "ann (you)", text: "Hello Bob", own: true },
    { writer: "bob", text: "Hello Ann – schön, dich zu lesen 🙂", own: false },
  ]);
  assert.deepEqual(await conversation(bob), [
    { writer: "ann", text: "Hello Bob", own: false },
    { writer: "bob (you)", text: "Hello Ann – schön, dich zu lesen 🙂", own: true },
  ]);
  assert.deepEqual(await conversation(eve), [{ writer: "eve (you)", text: "Is anybody here?", own: true }]);
});

test("a person picks a name and a room, and leaves again", async (t) => {
  const chat = await serve(t);
  const { page } = await openTab(browser);
  const ann = await chat.visit("ann", 12);
  await page.goto(chat.url);
  await page.getByLabel("Your name").fill("bob");
  await page.getByLabel("Room number").fill("12");
  await page.getByRole("button", { name: "Join" }).click();
  await connected(page);
  await notice(ann, "bob came in");
  await write(page, "hello");
  await seen(ann, "hello");
  await page.getByRole("button", { name: "Leave" }).click();
  await notice(ann, "bob left");
  await page.getByRole("heading", { name: "Join a room" }).waitFor();
});

test("a reload connects again, in the same room and under the same name", async (t) => {
  const chat = await serve(t);
  const [ann, bob] = [await chat.visit("ann", 5), await chat.visit("bob", 5)];
  await ann.reload();
  await connected(ann);
  await write(bob, "Still there?");
  await seen(ann, "Still there?");
  await write(ann, "Back again");
  await seen(bob, "Back again");
});

test("a server that stops and starts again is noticed, and the room goes on", async (t) => {
  const first = await startChat();
  const listen = new URL(first.addresses.chat).host;
  const ann = await visit(browser, first.addresses.chat, "ann", 5);
  await write(ann, "before");
  await seen(ann, "before");

  await first.stop();
  await ann.locator('#status[data-state="lost"]').waitFor();
  assert.match(await ann.getByRole("status").innerText(), /lost/i);
  await ann.locator("#text").fill("kept while there is no connection");
  await ann.locator("#text").press("Enter");
  t.diagnostic(await screenshot(ann, "chat-lost"));

  const second = await startChat({ listen });
  t.after(() => second.stop());
  await connected(ann);
  const bob = await visit(browser, second.addresses.chat, "bob", 5);
  await write(bob, "after");
  await seen(ann, "after");
  assert.equal(await ann.locator("#text").inputValue(), "kept while there is no connection");
  await ann.locator("#text").press("Enter");
  await seen(bob, "kept while there is no connection");
});

test("HTML that a person types, in a message or as a name, is shown and never run", async (t) => {
  const chat = await serve(t);
  const name = '<b onmouseover="run()">ann</b>';
  const typed = [
    '<img src="x" onerror="document.title = \'run\'">',
    "<script>document.title = 'run'</script>",
    '<a href="javascript:document.title=1">here</a> &amp; &lt;there&gt;',
  ];
  const [ann, bob] = [await chat.visit(name, 5), await chat.visit("bob", 5)];
  for (const text of typed) await write(ann, text);
  for (const page of [ann, bob]) {
    await seen(page, typed.at(-1));
    assert.deepEqual((await conversation(page)).map(({ text }) => text), typed);
    assert.equal(await page.locator("#log").locator("img, script, a, b").count(), 0);
    assert.equal(await page.title(), "Room 5 · stompbox");
  }
  assert.equal((await conversation(bob))[0].writer, name);
});

test("the page asks nobody but its own server for anything", async (t) => {
  const chat = await serve(t);
  const { page, complaints } = await openTab(browser);
  const asked = [];
  page.on("request", (request) => asked.push(request.url()));
  page.on("websocket", (socket) => asked.push(socket.url().replace(/^ws/, "http")));
  await page.goto(`${chat.url}?name=ann&room=5`);
  await connected(page);
  assert.ok(asked.includes(`${chat.url}ws`), `${asked}`);
  const elsewhere = asked.filter((url) => !url.startsWith(chat.url) && !url.startsWith("data:"));
  assert.deepEqual(elsewhere, []);
  assert.deepEqual(complaints, []);
});

test("a reader who has scrolled up is left there and told what is new", async (t) => {
  const chat = await serve(t);
  const [ann, bob] = [await chat.visit("ann", 5), await chat.visit("bob", 5)];
  for (let line = 1; line <= 40; line += 1) await write(bob, `line ${line}`);
  await seen(ann, "line 40");
  const log = ann.locator("#log");
  const distanceToEnd = () => log.evaluate((it) => it.scrollHeight - it.scrollTop - it.clientHeight);
  assert.ok((await distanceToEnd()) < 2, "who is at the end follows");

  await log.evaluate((it) => new Promise((resolve) => {
    it.addEventListener("scroll", resolve, { once: true });
    it.scrollTop = 0;
  }));
  await write(bob, "meanwhile");
  await ann.getByRole("button", { name: "1 new" }).click();
  assert.ok((await distanceToEnd()) < 2, "and who asks gets to the end");
  await ann.getByRole("button", { name: "1 new" }).waitFor({ state: "hidden" });
});

test("it looks right: light, dark, narrow, empty", async (t) => {
  const chat = await serve(t);
  const looks = {
    light: { colorScheme: "light", viewport: { width: 960, height: 720 } },
    dark: { colorScheme: "dark", viewport: { width: 960, height: 720 } },
    narrow: { colorScheme: "light", viewport: { width: 360, height: 640 }, hasTouch: true, isMobile: true },
  };
  const { page: entrance } = await openTab(browser, looks.light);
  await entrance.goto(chat.url);
  t.diagnostic(await screenshot(entrance, "chat-entrance"));

  const tabs = {};
  for (const [look, options] of Object.entries(looks)) tabs[look] = await chat.visit("ann", 5, options);
  t.diagnostic(await screenshot(tabs.light, "chat-empty"));
  const bob = await chat.visit("bob", 5);
  await write(bob, "Good morning! Has anybody tried the new build?");
  await write(bob, "It connects, at last, without a single setting.");
  await write(tabs.light, "Yes: since seven. Nothing lost so far, and I pulled the plug twice to be sure of it.");
  await write(bob, "Twice?");
  await write(tabs.light, "Three times.\nThe third was not on purpose.");
  for (const [look, page] of Object.entries(tabs)) {
    await seen(page, "The third was not on purpose.");
    const tooWide = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
    assert.equal(tooWide, false, `${look}: nothing is cut off at the side`);
    t.diagnostic(await screenshot(page, `chat-${look}`));
  }
});

test("a STOMP frame typed into nc arrives at the browser in room 5", async (t) => {
  const chat = await serve(t);
  const [ann, eve] = [await chat.visit("ann", 5), await chat.visit("eve", 6)];
  const nc = await Netcat.to(chat.tcp, t);
  nc.type("CONNECT\naccept-version:1.2\nhost:localhost\n\n\0");
  await nc.expect("CONNECTED");
  nc.type('SEND\ndestination:/pub/chat\n\n{"chatRoomId":5, "type": "MESSAGE", "writer": "client2"}\0');
  await seen(ann, "(no text)");
  assert.deepEqual(await conversation(ann), [{ writer: "client2", text: "(no text)", own: false }]);
  assert.deepEqual(await conversation(eve), []);
  nc.type("DISCONNECT\nreceipt:bye\n\n\0");
  assert.equal((await nc.expect("RECEIPT")).headers["receipt-id"], "bye");
  await nc.close();
});

for (const [what, payload] of [
  ["is not JSON", '{"chatRoomId":5, "type" "MESSAGE"}'],
  ["lacks a field", '{"chatRoomId":5, "type": "MESSAGE"}'],
  ["has a field of another type", '{"chatRoomId":"five", "type": "MESSAGE", "writer": "client2"}'],
]) {
  test(`a payload that ${what} gives its sender an ERROR that says where`, async (t) => {
    const chat = await serve(t);
    const ann = await chat.visit("ann", 5);
    const nc = await Netcat.to(chat.tcp, t);
    nc.type("CONNECT\naccept-version:1.2\nhost:localhost\n\n\0");
    await nc.expect("CONNECTED");
    nc.type(`SEND\ndestination:/pub/chat\nreceipt:said\n\n${payload}\0`);
    const { headers, body } = await nc.expect("ERROR");
    assert.equal(headers["receipt-id"], "said");
    assert.match(`${headers.message}\n${body}`, /line \d+,? column \d+/);
    await nc.close();

    await write(ann, "nothing happened here");
    await seen(ann, "nothing happened here");
    assert.equal((await conversation(ann)).length, 1);
  });
}

/** A chat server for one test. */
async function serve(t) {
  const server = await startChat();
  t.after(() => server.stop());
  const url = server.addresses.chat;
  return { url, tcp: server.addresses.tcp, visit: (name, room, options) => visit(browser, url, name, room, options) };
}

/** The program nc, with somebody typing into it. */
class Netcat {
  #child;
  #exited;
  #frames = new Inbox();

  static async to(address, t) {
    const colon = address.lastIndexOf(":");
    const child = spawn("nc", [address.slice(0, colon), address.slice(colon + 1)], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    await once(child, "spawn");
    t.after(() => child.kill());
    return new Netcat(child);
  }

  constructor(child) {
    this.#child = child;
    this.#exited = once(child, "exit");
    const decoder = new FrameDecoder();
    child.stdin.on("error", () => {}); // nc ends when the server closes
    child.stdout.on("data", (octets) => decoder.feed(octets).forEach((frame) => this.#frames.push(frame)));
    child.stdout.on("close", () => this.#frames.end("nc ended"));
  }

  type(text) {
    this.#child.stdin.write(text);
  }

  async expect(command) {
    const frame = await this.#frames.next(command);
    assert.equal(frame.command, command, `${frame.headers.message ?? ""} ${frame.body}`);
    return frame;
  }

  /** At the end of its input nc goes on until the server closes: its end says that it has. */
  async close() {
    this.#child.stdin.end();
    await within(this.#exited, "the server to close, and nc to end");
  }
}
