// stomp.py 9: what Python programs use.

import { NO_HEADER } from "../differences.mjs";
import { interop, python } from "../interop.mjs";

interop({
  name: "stomp.py",
  ...python("stomp.py"),
  transports: { websocket: ["1.2"], tcp: ["1.0", "1.1", "1.2"] },
  differences: [
    {
      cases: ["header: `\\`"],
      versions: ["1.0"],
      outcome: "fails",
      shows: /^reads \S+ instead/,
      why: "unescapes headers in 1.0 as well; sends it well",
    },
    {
      cases: ["header name: `\\`"],
      versions: ["1.0"],
      outcome: "fails",
      shows: /^reads undefined instead/,
      why: "unescapes headers in 1.0 as well; sends it well",
    },
    {
      cases: ["header name: `:`", "header name: `\\`"],
      versions: ["1.1", "1.2"],
      outcome: "fails",
      shows: /^sends undefined instead/,
      why: "does not escape the names of headers; reads them well",
    },
    {
      cases: ["header name: LF"],
      outcome: "fails",
      shows: NO_HEADER,
      why: "does not escape the names of headers: the LF ends the header, and what follows is none",
    },
  ],
});
