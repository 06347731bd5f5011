// The RabbitMQ that `run` has started, and what it does otherwise than the specification has it.

import assert from "node:assert/strict";

const WITHOUT_ESCAPES = ["header: `:`", "header: `\\`", "header name: `\\`"];

export const RABBITMQ = {
  name: "RabbitMQ",
  start,
  /** As those of a client, and each with the `rule` that it is about. */
  differences: [
    {
      cases: [...WITHOUT_ESCAPES, "header: CR"],
      versions: ["1.0"],
      clients: ["go-stomp"],
      outcome: "passes",
      why: "go-stomp escapes in 1.0 as RabbitMQ does: two mistakes that cancel each other",
    },
    {
      cases: ["header: `:`"],
      versions: ["1.0"],
      clients: ["stomp.py"],
      outcome: "passes",
      why: "stomp.py unescapes in 1.0 what RabbitMQ has escaped",
    },
    {
      cases: ["header: CR"],
      versions: ["1.1"],
      clients: ["go-stomp", "Spring"],
      outcome: "passes",
      why: "go-stomp and Spring escape CR in 1.1 as RabbitMQ does",
    },
    {
      cases: WITHOUT_ESCAPES,
      versions: ["1.0"],
      outcome: "fails",
      shows: /^(reads|sends) /,
      why: "escapes and unescapes headers in 1.0 as it does in 1.2",
      rule: "STOMP 1.0 knows no escapes",
    },
    {
      cases: ["header: CR"],
      versions: ["1.0", "1.1"],
      outcome: "fails",
      shows: /^the connection was closed|undefined escape|connection ended|EPIPE|ECONNRESET/,
      why: "closes at a CR that no LF follows, and itself writes `\\r`",
      rule: 'STOMP 1.1, "Value Encoding": its escapes are `\\n`, `\\c` and `\\\\`, and undefined ones '
        + "are fatal; only from 1.2 on may a CR end a line",
    },
    {
      cases: ["body of any octets"],
      transports: ["websocket"],
      clients: [
        ...["@stomp/rx-stomp", "@stomp/stompjs", "@stomp/stompjs in Chromium"],
        ...["go-stomp", "Spring", "stomp.py"],
      ],
      outcome: "fails",
      shows: /^the connection was closed|expected MessageBinary/,
      why: "sends every body in a text message",
      rule: "RFC 6455 §5.6: the data of a text message is UTF-8",
    },
    {
      cases: ["ERROR of CONNECT"],
      clients: ["stompman"],
      outcome: "passes",
      why: "stompman sees the ERROR because the connection stays open",
    },
    {
      cases: [
        "no version in common: ERROR with `version`, then the close",
        "ERROR of CONNECT, then the close",
        "ERROR of a SEND, then the close",
      ],
      outcome: "fails",
      shows: /for the close after ERROR/,
      why: "keeps the connection open after ERROR",
      rule: 'STOMP 1.2, "ERROR": the server "MUST then close the connection just after sending the '
        + 'ERROR frame"',
    },
    {
      cases: ["ERROR of a SEND: `receipt-id`"],
      outcome: "fails",
      shows: /Unknown destination/,
      why: "does not say which frame it refused",
      rule: 'STOMP 1.2, "ERROR": "if the frame included a receipt header, the ERROR frame SHOULD set '
        + 'the receipt-id header"',
    },
    {
      cases: ["ERROR of a SUBSCRIBE whose `id` is taken"],
      transports: ["websocket"],
      outcome: "fails",
      shows: /^the connection was closed/,
      why: "closes without the ERROR",
      rule: 'STOMP 1.2, "SUBSCRIBE": the server "MUST send the client an ERROR frame and then close '
        + 'the connection"',
    },
    {
      cases: ["`ack:client`, cumulative within its subscription"],
      outcome: "fails",
      shows: /for what nobody acknowledged to come back/,
      why: "acknowledges the messages of the other subscriptions too",
      rule: 'STOMP 1.2, "SUBSCRIBE ack Header": ACK operates on "all messages sent to the '
        + 'subscription before the ACK\'ed message"',
    },
    {
      cases: ["RECEIPT of DISCONNECT, then the close"],
      transports: ["websocket"],
      outcome: "fails",
      shows: /^the connection was closed/,
      why: "closes without the RECEIPT",
      rule: 'STOMP 1.2, "Header receipt": it "will cause the server to acknowledge the processing of '
        + 'the client frame with a RECEIPT frame"',
    },
  ],
};

async function start() {
  const { RABBITMQ_WEBSOCKET: ws, RABBITMQ_TCP: tcp } = process.env;
  const { RABBITMQ_LOGIN: login, RABBITMQ_PASSCODE: passcode } = process.env;
  assert.ok(ws && tcp, "RABBITMQ_WEBSOCKET or RABBITMQ_TCP is not set: start with tests/live/run");
  const server = { addresses: { ws, tcp }, credentials: { login, passcode } };
  return { open: server, guarded: { ...server, refusal: /Bad CONNECT|Access refused/ }, stop() {} };
}
