// stompjs 2.3.3: the stomp-websocket of old pages, still among the most installed.

import { NO_HEADER } from "../differences.mjs";
import { interop } from "../interop.mjs";

const BOTH = ["1.0", "1.1"];

interop({
  name: "stompjs",
  driver: ["node", new URL("driver.mjs", import.meta.url).pathname],
  transports: { websocket: BOTH, tcp: BOTH },
  differences: [
    {
      cases: ["header: `:`"],
      versions: ["1.1"],
      outcome: "fails",
      shows: /^reads \S+ instead/,
      why: "does not unescape headers",
    },
    {
      cases: ["header: `\\`"],
      versions: ["1.1"],
      outcome: "fails",
      shows: /^reads .+, sends /,
      why: "neither escapes nor unescapes headers",
    },
    {
      cases: ["header: LF", "header name: LF"],
      versions: ["1.1"],
      outcome: "fails",
      shows: NO_HEADER,
      why: "does not escape headers: the LF ends the header, and what follows is none",
    },
    {
      cases: ["header name: `:`", "header name: `\\`"],
      versions: ["1.1"],
      outcome: "fails",
      shows: /^reads undefined, sends undefined/,
      why: "neither escapes nor unescapes headers",
    },
    {
      cases: ["body of text with a NUL"],
      outcome: "fails",
      shows: /^reads 6 octets/,
      why: "ends the body at the first NUL whatever `content-length` says; sends it well",
    },
    { cases: ["body of any octets"], outcome: "cannot", why: "knows only text" },
    {
      cases: ["body of 1 MiB"],
      transports: ["tcp"],
      outcome: "fails",
      shows: /^reads \d+ octets/,
      why: "takes what it reads at once from a TCP socket for whole frames; sends it well",
    },
  ],
});
