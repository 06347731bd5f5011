// What every client is asked to do, written once. The driver makes the library under test do it; a
// peer that knows nothing of that library sends what it is to receive and sees what it sent.

import assert from "node:assert/strict";

import { within } from "../deadline.mjs";
import { Peer } from "../peer.mjs";
import { HeartBeatCounter } from "./heart-beats.mjs";

/** The period of heart-beats in milliseconds, of the server and of the client. */
export const PERIOD = 1_000;

const FROM_1_1 = ["1.1", "1.2"];
const TEXT = "hello – 你好 🙂";
const OCTETS = Buffer.from(Array.from({ length: 256 }, (_, octet) => octet));
const LINES = "one\ntwo\n\nthree";
const MEBIBYTE = "0123456789abcdef".repeat(65_536);

/** What was sent or read is not what it should have been; the connection is as good as before. */
export class Otherwise extends Error {}

/**
 * The cases in the order of the table. `versions` are those of STOMP that know the matter, all of
 * them if it is left out.
 */
export const CASES = [
  { name: "CONNECT, DISCONNECT", run: connects },
  { name: "SUBSCRIBE, SEND, MESSAGE, UNSUBSCRIBE", run: receives },
  { name: "RECEIPT of SEND", run: receiptOfSend },
  { name: "RECEIPT of SUBSCRIBE", run: receiptOfSubscribe },
  { name: "`ack:auto`", run: acknowledgesByItself },
  { name: "`ack:client`, cumulative", run: acknowledgesAllBefore },
  { name: "`ack:client-individual`", versions: FROM_1_1, run: acknowledgesOne },
  { name: "NACK and redelivery", versions: FROM_1_1, run: rejects },
  { name: "transaction: SEND, COMMIT", run: commits },
  { name: "transaction: SEND, ABORT", run: aborts },
  { name: "transaction: ACK", run: acknowledgesInTransactions },
  { name: "body of text with a NUL", run: (context) => exchangesBodies(context, "before\0after") },
  { name: "body of any octets", run: (context) => exchangesBodies(context, OCTETS) },
  { name: "body of 1 MiB", run: (context) => exchangesBodies(context, MEBIBYTE) },
  { name: "header: Unicode", run: (context) => exchangesHeaders(context, "Grüße, 日本語, 🙂") },
  { name: "header: `:`", run: (context) => exchangesHeaders(context, "a:b::c:") },
  { name: "header: `\\`", run: (context) => exchangesHeaders(context, "C:\\new\\room\\c\\\\") },
  { name: "header: LF", versions: FROM_1_1, run: (context) => exchangesHeaders(context, LINES) },
  { name: "header: CR", run: exchangesReturns },
  { name: "header name: `:`", versions: FROM_1_1, run: (context) => exchangesNames(context, "x:y::z") },
  { name: "header name: `\\`", run: (context) => exchangesNames(context, "x\\name\\\\z") },
  { name: "header name: LF", versions: FROM_1_1, run: (context) => exchangesNames(context, "x\ny") },
  { name: "heart-beats for three periods", versions: FROM_1_1, run: beats },
  { name: "killed: noticed", run: isMissedWhenKilled },
  { name: "frozen: noticed by its heart-beats", versions: FROM_1_1, run: isMissedWhenFrozen },
  { name: "ERROR of a SEND", run: understandsErrors },
  { name: "ERROR of CONNECT", run: understandsRefusal },
];

async function connects(context) {
  const { version } = await context.connect();
  assert.equal(version ?? context.version, context.version);
  await context.driven.do("disconnect");
  await context.connect();
  await context.driven.do("disconnect");
}

async function receives(context) {
  const { driven } = context;
  const destination = driven.destination("topic");
  await context.connect();
  await driven.do("subscribe", { id: "first", destination, ack: "auto" });
  await driven.send(destination, TEXT);
  await expectText(driven, "first", TEXT);
  const peer = await context.peer();
  for (const body of [TEXT, "second", "third"]) await peer.send("SEND", { destination }, body);
  for (const body of [TEXT, "second", "third"]) await expectText(driven, "first", body);
  await driven.do("unsubscribe", { id: "first" });
  await driven.do("subscribe", { id: "again", destination, ack: "auto" });
  await driven.send(destination, "once");
  await expectText(driven, "again", "once");
  await driven.send(destination, "once more");
  await expectText(driven, "again", "once more");
  await driven.do("disconnect");
}

async function receiptOfSend(context) {
  const { driven } = context;
  const destination = driven.destination("queue");
  await context.connect();
  await driven.send(destination, "kept", { receipt: true });
  await context.left(destination, [kept("kept")]);
  await driven.do("disconnect");
}

async function receiptOfSubscribe(context) {
  const { driven } = context;
  const destination = driven.destination("topic");
  await context.connect();
  await driven.do("subscribe", { id: "receipted", destination, ack: "auto", receipt: true });
  // Nobody keeps what is sent to a topic: it arrives only if the subscription is active by now.
  const peer = await context.peer();
  await peer.send("SEND", { destination }, "in time");
  await expectText(driven, "receipted", "in time");
  await driven.do("disconnect");
}

async function acknowledgesByItself(context) {
  const { driven } = context;
  const [settled, unsettled] = [driven.destination("queue"), driven.destination("queue")];
  await context.fill(settled, ["1", "2"]);
  await context.fill(unsettled, ["gone"]);
  await context.connect();
  await driven.do("subscribe", { id: "settled", destination: settled, ack: "auto" });
  for (const body of ["1", "2"]) await expectText(driven, "settled", body);
  await driven.do("subscribe", { id: "unsettled", destination: unsettled, ack: "client" });
  await expectText(driven, "unsettled", "gone");
  await driven.do("disconnect");
  // What comes back tells that the connection has ended.
  await context.left(unsettled, [redelivered("gone")]);
  await context.left(settled, []);
}

async function acknowledgesAllBefore(context) {
  const { driven } = context;
  const destination = await consumes(context, "client", ["1", "2", "3"]);
  const [, second] = [await driven.message(), await driven.message(), await driven.message()];
  await driven.do("ack", { message: second.number });
  await driven.do("disconnect");
  await context.left(destination, [redelivered("3")]);
}

async function acknowledgesOne(context) {
  const { driven } = context;
  const destination = await consumes(context, "client-individual", ["1", "2", "3"]);
  const [, second] = [await driven.message(), await driven.message(), await driven.message()];
  await driven.do("ack", { message: second.number });
  await driven.do("disconnect");
  await context.left(destination, [redelivered("1"), redelivered("3")]);
}

async function rejects(context) {
  const { driven } = context;
  const destination = await consumes(context, "client-individual", ["1", "2"]);
  const [first] = [await driven.message(), await driven.message()];
  assert.notEqual(first.headers.redelivered, "true");
  await driven.do("nack", { message: first.number });
  const again = await driven.message();
  assert.deepEqual([String(again.body), again.headers.redelivered], ["1", "true"]);
  await driven.do("ack", { message: again.number });
  await driven.do("disconnect");
  await context.left(destination, [redelivered("2")]);
}

async function commits(context) {
  const { driven } = context;
  const destination = driven.destination("queue");
  const peer = await context.peer();
  await peer.subscribe("peer", destination);
  await context.connect();
  await driven.do("begin", { transaction: "t" });
  for (const body of ["1", "2"]) await driven.send(destination, body, { transaction: "t" });
  await driven.send(destination, "outside");
  await expectBody(peer, "outside");
  await driven.do("commit", { transaction: "t" });
  for (const body of ["1", "2"]) await expectBody(peer, body);
  await driven.do("disconnect");
}

async function aborts(context) {
  const { driven } = context;
  const destination = driven.destination("queue");
  await context.connect();
  await driven.do("begin", { transaction: "t" });
  await driven.send(destination, "dropped", { transaction: "t" });
  await driven.do("abort", { transaction: "t" });
  await driven.send(destination, "outside");
  await driven.do("disconnect");
  await context.left(destination, [kept("outside")]);
}

async function acknowledgesInTransactions(context) {
  const { driven } = context;
  const ack = context.version === "1.0" ? "client" : "client-individual";
  const destination = await consumes(context, ack, ["1", "2", "3"]);
  const [first, second] = [await driven.message(), await driven.message(), await driven.message()];
  await driven.do("begin", { transaction: "kept" });
  await driven.do("ack", { message: first.number, transaction: "kept" });
  await driven.do("commit", { transaction: "kept" });
  await driven.do("begin", { transaction: "dropped" });
  await driven.do("ack", { message: second.number, transaction: "dropped" });
  await driven.do("abort", { transaction: "dropped" });
  await driven.do("disconnect");
  await context.left(destination, [redelivered("2"), redelivered("3")]);
}

async function exchangesBodies(context, body) {
  const { driven } = context;
  const [out, back] = [driven.destination("queue"), driven.destination("queue")];
  const peer = await context.peer();
  await peer.subscribe("peer", out);
  // Some libraries have to be told beforehand that not all is text.
  await context.connect({ binary: typeof body !== "string" });
  await driven.do("subscribe", { id: "back", destination: back, ack: "auto" });
  await driven.send(out, body);
  const sent = await driven.unlessTroubled(peer.expect("MESSAGE", { destination: out }));
  same("sends", sent.body, Buffer.from(body));
  await peer.send("SEND", { destination: back, "content-length": Buffer.byteLength(body) }, body);
  same("reads", (await driven.message()).body, Buffer.from(body));
  await driven.do("disconnect");
}

/** Before 1.2 a CR stands for itself, and as the last of a line it could be taken for its end. */
function exchangesReturns(context) {
  return exchangesHeaders(context, context.version === "1.2" ? "one\rtwo\r" : "one\rtwo");
}

function exchangesNames(context, name) {
  return exchangesHeaders(context, "value", name);
}

async function exchangesHeaders(context, value, name = "x-value") {
  const { driven } = context;
  const [out, back] = [driven.destination("queue"), driven.destination("queue")];
  const peer = await context.peer();
  await peer.subscribe("peer", out);
  await context.connect();
  await driven.do("subscribe", { id: "back", destination: back, ack: "auto" });
  await peer.send("SEND", { destination: back, [name]: value }, "x");
  const read = (await driven.message()).headers[name];
  await driven.send(out, "x", { headers: { [name]: value } });
  const { headers } = await driven.unlessTroubled(peer.expect("MESSAGE", { destination: out }));
  const both = Object.entries({ reads: read, sends: headers[name] });
  const wrong = both.filter(([, found]) => found !== value);
  if (wrong.length > 0) {
    const report = wrong.map(([does, found]) => `${does} ${JSON.stringify(found)}`);
    throw new Otherwise(`${report.join(", ")} instead of ${JSON.stringify(value)}`);
  }
  await driven.do("disconnect");
}

async function beats(context) {
  const { driven } = context;
  const counter = await HeartBeatCounter.start(context.transport, context.address);
  try {
    await context.connect({ address: counter.address, heartBeat: [PERIOD, PERIOD] });
    await counter.both(3, 12 * PERIOD);
    // The connection is still there, and of use. What the client now received could come to it together
    // with a heart-beat, of which stompjs 2 over TCP, which takes reads for frames, makes nothing.
    const destination = driven.destination("topic");
    const peer = await context.peer();
    await peer.subscribe("after", destination);
    await driven.send(destination, "still here");
    await driven.unlessTroubled(expectBody(peer, "still here"));
    await driven.do("disconnect");
  } finally {
    counter.stop();
  }
}

async function isMissedWhenKilled(context) {
  const destination = await consumes(context, "client", ["held"]);
  await expectText(context.driven, "consumer", "held");
  await context.driven.kill();
  await context.left(destination, [redelivered("held")]);
}

async function isMissedWhenFrozen(context) {
  const destination = await consumes(context, "client", ["held"], { heartBeat: [PERIOD, PERIOD] });
  await expectText(context.driven, "consumer", "held");
  context.driven.freeze();
  await context.left(destination, [redelivered("held")]);
  await context.driven.kill();
}

async function understandsErrors(context) {
  const { driven } = context;
  await context.connect();
  // Some libraries report an ERROR only to those who wait for something.
  const destination = driven.destination("topic");
  await driven.do("subscribe", { id: "waits", destination, ack: "auto" });
  await driven.send("/nobody/here", "unheard");
  const { message } = await driven.errors.next("an ERROR");
  assert.match(message, /nobody|destination/);
}

async function understandsRefusal(context) {
  const credentials = { login: "ann", passcode: "wrong" };
  const { address, refusal } = context.guarded;
  const refused = context.connect({ address, credentials });
  const error = await within(refused.then(() => null, (error) => error), "a refusal");
  assert.ok(error, "it says that it is connected");
  const reported = context.driven.errors.drain().map(({ message }) => message);
  assert.match([error.message, ...reported].join("\n"), refusal);
}

/** Has the client consume a queue of these bodies. */
async function consumes(context, ack, bodies, parameters) {
  const destination = context.driven.destination("queue");
  await context.fill(destination, bodies);
  await context.connect(parameters);
  await context.driven.do("subscribe", { id: "consumer", destination, ack });
  return destination;
}

async function expectText(driven, subscription, text) {
  const message = await driven.message();
  assert.deepEqual([message.subscription, String(message.body)], [subscription, text]);
}

async function expectBody(peer, body) {
  assert.equal(String((await peer.expect("MESSAGE")).body), body);
}

function kept(body) {
  return { body, redelivered: false };
}

function redelivered(body) {
  return { body, redelivered: true };
}

/** As `deepEqual`, but says what differs in a line. */
function same(does, found, expected) {
  if (expected.equals(found)) return;
  const differs = expected.findIndex((octet, index) => octet !== found[index]);
  const where = differs < 0 ? "more follows" : `differs at octet ${differs}`;
  assert.fail(`${does} ${found.length} octets instead of ${expected.length}: ${where}`);
}
