// What the chat page does with a server that is slow, silent, refusing or in pieces. The page comes
// from the chat example; the server that it speaks STOMP with is played by the test, and so is its clock.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { launchChromium, openTab } from "./chromium.mjs";
import { Inbox } from "./deadline.mjs";
import { startChat } from "./server.mjs";
import { encodeFrame, FrameDecoder } from "./stomp.mjs";

const PERIOD = 10_000;
const LONGEST_WAIT = 10_000;

let server, browser;
before(async () => {
  server = await startChat();
  browser = await launchChromium();
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

test("the page connects with version and heart-beats, then subscribes to its room", async () => {
  const { connections } = await visit();
  const connection = await connections.next("a connection");
  const connect = await connection.expect("CONNECT");
  assert.deepEqual({ ...connect.headers }, {
    "accept-version": "1.2",
    host: "127.0.0.1",
    "heart-beat": `${PERIOD},${PERIOD}`,
  });
  connection.send("CONNECTED", { version: "1.2", "heart-beat": "0,0" });
  const { headers } = await connection.expect("SUBSCRIBE");
  assert.equal(headers.destination, "/topic/room/5");
  assert.ok(headers.receipt && headers.id);
});

test("frames in pieces, several at once, text or binary, with escapes, are all read", async () => {
  const { page, connection } = await joined();
  const message = (text, headers = {}) => {
    const body = JSON.stringify({ chatRoomId: 5, type: "MESSAGE", writer: "bob", text });
    return encodeFrame("MESSAGE", { subscription: "room", "message-id": "1", ...headers }, body);
  };
  const length = (text) => String(Buffer.byteLength(message(text).toString().split("\n\n")[1]) - 1);

  const cut = message("cut – in pieces 🙂");
  for (const octet of cut) connection.sendRaw(Buffer.from([octet]));
  connection.sendRaw(Buffer.concat([message("first of two"), Buffer.from("\n\r\n"), message("second of two")]).toString());
  const counted = "counted – in octets 🙂";
  connection.sendRaw(message(counted, { "content-length": length(counted) }).toString());
  connection.sendRaw(message("a header of its own", { note: "a:b\\c\nd" }).toString());
  connection.sendRaw(message("CR LF").toString().replaceAll("\n", "\r\n"));

  await page.locator(".message .text", { hasText: "CR LF" }).waitFor();
  const texts = await page.locator(".message .text").evaluateAll((all) => all.map((one) => one.firstChild.textContent));
  assert.deepEqual(texts, ["cut – in pieces 🙂", "first of two", "second of two", counted, "a header of its own", "CR LF"]);
});

test("an ERROR is shown to the person, and the room is joined again", async () => {
  const { page, connection, connections } = await joined();
  connection.send("ERROR", { message: "not: today" }, "The room is <b>closed</b>.");
  connection.close();
  const alert = page.getByRole("alert");
  await alert.waitFor();
  assert.match(await alert.innerText(), /not: today\s+The room is <b>closed<\/b>\./);
  await page.clock.runFor(LONGEST_WAIT);
  await accept(await connections.next("another connection"));
  await page.locator('#status[data-state="connected"]').waitFor();
  await page.getByRole("button", { name: "Dismiss" }).click();
  await alert.waitFor({ state: "hidden" });
});

test("the page sends its heart-beats, and gives up a server that sends none", async () => {
  const { page, connection, connections } = await joined({ "heart-beat": `${PERIOD},${PERIOD}` });
  for (let beat = 0; beat < 4; beat += 1) {
    await page.clock.runFor(PERIOD);
    assert.equal(await connection.beats.next("a heart-beat"), "\n");
    connection.sendRaw("\n");
  }
  await page.locator('#status[data-state="connected"]').waitFor();
  await page.clock.runFor(3 * PERIOD);
  await page.locator('#status[data-state="lost"]').waitFor();
  await page.clock.runFor(LONGEST_WAIT);
  await connections.next("another connection");
});

test("it goes on trying, and never waits longer than ten seconds", async () => {
  const { page, connection, connections } = await joined();
  connection.close();
  await page.locator('#status[data-state="lost"]').waitFor();
  for (let attempt = 0; attempt < 8; attempt += 1) {
    await page.clock.runFor(LONGEST_WAIT);
    const next = await connections.next("another attempt");
    await next.expect("CONNECT");
    next.close();
  }
});

test("what the server has not confirmed when the connection is lost is named", async () => {
  const { page, connection } = await joined();
  const box = page.getByLabel("Message", { exact: true });
  await box.fill("confirmed");
  await box.press("Enter");
  const { headers } = await connection.expect("SEND");
  connection.send("RECEIPT", { "receipt-id": headers.receipt });
  await box.fill("unheard");
  await box.press("Enter");
  await connection.expect("SEND");
  connection.close();
  await page.locator(".notice", { hasText: "Perhaps not delivered: “unheard”" }).waitFor();
  assert.equal(await page.locator(".notice", { hasText: "“confirmed”" }).count(), 0);
});

/** A tab that wants into room 5, and the connections that it makes. */
async function visit() {
  const { page } = await openTab(browser);
  const connections = new Inbox();
  await page.clock.install();
  await page.routeWebSocket(/\/ws$/, (route) => connections.push(new Connection(route)));
  await page.goto(`${server.addresses.chat}?name=ann&room=5`);
  return { page, connections };
}

/** The same, let in. */
async function joined(headers) {
  const { page, connections } = await visit();
  const connection = await connections.next("a connection");
  await accept(connection, headers);
  await connection.expect("SEND"); // its ENTER
  await page.locator('#status[data-state="connected"]').waitFor();
  return { page, connection, connections };
}

async function accept(connection, headers = { "heart-beat": "0,0" }) {
  await connection.expect("CONNECT");
  connection.send("CONNECTED", { version: "1.2", ...headers });
  const { headers: subscription } = await connection.expect("SUBSCRIBE");
  connection.send("RECEIPT", { "receipt-id": subscription.receipt });
}

/** The server's end of a connection of the page. */
class Connection {
  #route;
  #frames = new Inbox();
  beats = new Inbox();

  constructor(route) {
    this.#route = route;
    const decoder = new FrameDecoder();
    route.onMessage((message) => {
      if (message === "\n") this.beats.push(message);
      else decoder.feed(Buffer.from(message)).forEach((frame) => this.#frames.push(frame));
    });
  }

  send(command, headers, body) {
    this.sendRaw(encodeFrame(command, headers, body).toString());
  }

  /** A string as a text message, a Buffer as a binary one. */
  sendRaw(message) {
    this.#route.send(message);
  }

  close() {
    this.#route.close();
  }

  async expect(command) {
    const frame = await this.#frames.next(command);
    assert.equal(frame.command, command);
    return frame;
  }
}
