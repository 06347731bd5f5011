// webstomp-client 1.2.6: a successor of stompjs 2 that many single-page applications kept.

import { NO_HEADER } from "../differences.mjs";
import { interop } from "../interop.mjs";

interop({
  name: "webstomp-client",
  driver: ["node", new URL("driver.mjs", import.meta.url).pathname],
  transports: { websocket: ["1.0", "1.1", "1.2"] },
  differences: [
    {
      cases: ["header: `:`"],
      versions: ["1.1", "1.2"],
      outcome: "fails",
      shows: /^reads \S+ instead/,
      why: "does not unescape headers",
    },
    {
      cases: ["header: `\\`"],
      versions: ["1.1", "1.2"],
      outcome: "fails",
      shows: /^reads .+, sends /,
      why: "neither escapes nor unescapes headers",
    },
    {
      cases: ["header: LF", "header name: LF"],
      versions: ["1.1", "1.2"],
      outcome: "fails",
      shows: NO_HEADER,
      why: "does not escape headers: the LF ends the header, and what follows is none",
    },
    {
      cases: ["header name: `:`", "header name: `\\`"],
      versions: ["1.1", "1.2"],
      outcome: "fails",
      shows: /^reads undefined, sends undefined/,
      why: "neither escapes nor unescapes headers",
    },
    {
      cases: ["header: CR"],
      versions: ["1.2"],
      outcome: "fails",
      shows: { stompbox: /^reads .+, sends /, RabbitMQ: /^the connection was closed/ },
      why: "neither escapes nor unescapes headers: a CR at the end of the line is part of that end",
    },
    {
      cases: ["body of text with a NUL"],
      outcome: "fails",
      shows: /^reads 6 octets/,
      why: "ends the body at the first NUL whatever `content-length` says; sends it well",
    },
    { cases: ["body of any octets"], outcome: "cannot", why: "knows only text" },
  ],
});
