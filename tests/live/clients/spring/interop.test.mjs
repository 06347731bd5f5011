// Spring 6: WebSocketStompClient, and over TCP ReactorNettyTcpStompClient.

import { join } from "node:path";

import { installedFolder, interop } from "../interop.mjs";

const BOTH = ["1.1", "1.2"];
const folder = join(installedFolder(), "spring");
const classes = `${join(folder, "classes")}:${join(folder, "lib", "*")}`;

interop({
  name: "Spring",
  // It lives for seconds: little is worth compiling well.
  driver: [
    ...["java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"],
    ...["-cp", classes, "test.stompbox.Driver"],
  ],
  transports: { websocket: BOTH, tcp: BOTH },
  differences: [
    {
      cases: ["transaction: SEND, COMMIT", "transaction: SEND, ABORT", "transaction: ACK"],
      outcome: "cannot",
      why: "has no transactions",
    },
    {
      cases: ["header: CR"],
      versions: ["1.1"],
      outcome: "fails",
      shows: /^the connection was closed/,
      why: "takes a CR that no LF follows for an error of the protocol",
    },
  ],
});
