// go-stomp 3: what Go programs use, also over a WebSocket in place of its TCP connection.

import { join } from "node:path";

import { installedFolder, interop } from "../interop.mjs";

const ALL = ["1.0", "1.1", "1.2"];

interop({
  name: "go-stomp",
  driver: [join(installedFolder(), "go-stomp", "driver")],
  transports: { websocket: ALL, tcp: ALL },
  differences: [
    {
      cases: ["RECEIPT of SUBSCRIBE"],
      outcome: "cannot",
      why: "its `Subscribe` waits for none",
    },
    {
      cases: ["header: `:`"],
      versions: ["1.0"],
      outcome: "fails",
      shows: /^sends \S+ instead/,
      why: "escapes headers in 1.0 as well",
    },
    {
      cases: ["header: `\\`"],
      versions: ["1.0"],
      outcome: "fails",
      shows: /^reads .+, sends /,
      why: "escapes and unescapes headers in 1.0 as well",
    },
    {
      cases: ["header name: `\\`"],
      versions: ["1.0"],
      outcome: "fails",
      shows: /^reads undefined, sends undefined/,
      why: "escapes and unescapes headers in 1.0 as well",
    },
    {
      cases: ["header: CR"],
      versions: ["1.0", "1.1"],
      outcome: "fails",
      shows: /^sends \S+ instead/,
      why: "writes the escape of 1.2 for a CR in every version; reads it well",
    },
  ],
});
