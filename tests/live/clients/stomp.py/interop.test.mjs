// stomp.py 9: what Python programs use.

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
  ],
});
