// What STOMP 1.2 asks of a server where client libraries look away: frames as they are, no library.

import assert from "node:assert/strict";

import { within } from "../../deadline.mjs";

/** How long "just after" may be on a busy machine, in milliseconds. */
const SOON = 5_000;

/** In the order of the table. */
export const RULES = [
  { name: "STOMP in place of CONNECT", run: takesStomp },
  { name: "no version in common: ERROR with `version`, then the close", run: refusesVersions },
  { name: "ERROR of CONNECT, then the close", run: closesAfterRefusal },
  { name: "ERROR of a SEND, then the close", run: closesAfterError },
  { name: "ERROR of a SEND: `receipt-id`", run: namesReceipt },
  { name: "ERROR of a SUBSCRIBE whose `id` is taken", run: refusesTakenIds },
  { name: "an escape that is undefined is fatal", run: refusesEscapes },
  { name: "a header that is repeated: the first counts", run: takesFirst },
  { name: "a header that is padded stays so", run: keepsPadding },
  { name: "`ack:client`, cumulative within its subscription", run: acknowledgesOneSubscription },
  { name: "`content-length` at a body with a NUL", run: measuresBodies },
  { name: "RECEIPT of DISCONNECT, then the close", run: disconnects },
];

async function takesStomp(context) {
  const peer = await context.open();
  await peer.send("STOMP", context.connectHeaders);
  await peer.expect("CONNECTED", { version: "1.2" });
}

async function refusesVersions(context) {
  const peer = await context.open();
  await peer.send("CONNECT", { ...context.connectHeaders, "accept-version": "2.5" });
  const { headers } = await peer.expect("ERROR");
  assert.deepEqual(headers.version?.split(",").sort(), ["1.0", "1.1", "1.2"]);
  await closes(peer, "ERROR");
}

async function closesAfterRefusal(context) {
  const peer = await context.open(context.guarded);
  await peer.send("CONNECT", { ...context.connectHeaders, login: "ann", passcode: "wrong" });
  await peer.expect("ERROR");
  await closes(peer, "ERROR");
}

async function closesAfterError(context) {
  const peer = await context.connect();
  await peer.send("SEND", { destination: "/nobody/here" }, "unheard");
  await peer.expect("ERROR");
  await closes(peer, "ERROR");
}

async function namesReceipt(context) {
  const peer = await context.connect();
  await peer.send("SEND", { destination: "/nobody/here", receipt: "unheard" }, "unheard");
  await peer.expect("ERROR", { "receipt-id": "unheard" });
}

async function refusesTakenIds(context) {
  const peer = await context.connect();
  await peer.subscribe("taken", context.destination("topic"));
  const destination = context.destination("topic");
  await peer.send("SUBSCRIBE", { id: "taken", destination, receipt: "second" });
  await peer.expect("ERROR");
}

async function refusesEscapes(context) {
  const peer = await context.connect();
  const destination = context.destination("topic");
  await peer.write(`SEND\ndestination:${destination}\nx-value:tab\\t\nreceipt:sent\n\nbody\0`);
  const answer = await peer.next().then(({ command }) => command, () => "close");
  assert.ok(["ERROR", "close"].includes(answer), `the answer is ${answer}`);
}

async function takesFirst(context) {
  const { headers } = await sentBack(context, "x-value:first\nx-value:second\n");
  assert.equal(headers["x-value"], "first");
}

async function keepsPadding(context) {
  const { headers } = await sentBack(context, "x-value:  padded \n");
  assert.equal(headers["x-value"], "  padded ");
}

async function measuresBodies(context) {
  const { headers, body } = await sentBack(context, "content-length:12\n", "before\0after");
  assert.deepEqual([headers["content-length"], String(body)], ["12", "before\0after"]);
}

async function acknowledgesOneSubscription(context) {
  const [one, other] = [context.destination("queue"), context.destination("queue")];
  const peer = await context.connect();
  for (const destination of [one, other]) {
    await peer.send("SUBSCRIBE", { id: destination, destination, ack: "client" });
    await peer.send("SEND", { destination }, "held");
  }
  const messages = [await peer.expect("MESSAGE"), await peer.expect("MESSAGE")];
  const [, last] = messages;
  await peer.send("ACK", { id: last.headers.ack, receipt: "acknowledged" });
  await peer.expect("RECEIPT", { "receipt-id": "acknowledged" });
  peer.abandon();
  const { subscription: destination } = messages[0].headers;
  const reader = await context.connect();
  await reader.subscribe("reader", destination);
  const back = reader.expect("MESSAGE", { destination });
  const { body } = await within(back, "what nobody acknowledged to come back", SOON);
  assert.equal(String(body), "held");
}

async function disconnects(context) {
  const peer = await context.connect();
  await peer.send("DISCONNECT", { receipt: "disconnect" });
  await peer.expect("RECEIPT", { "receipt-id": "disconnect" });
  await closes(peer, "DISCONNECT");
}

/** What becomes of a SEND with these lines in its head. */
async function sentBack(context, lines, body = "body") {
  const peer = await context.connect();
  const destination = context.destination("topic");
  await peer.subscribe("back", destination);
  await peer.write(`SEND\ndestination:${destination}\n${lines}\n${body}\0`);
  return peer.expect("MESSAGE", { destination });
}

function closes(peer, after) {
  return within(peer.closed, `the close after ${after}`, SOON);
}
