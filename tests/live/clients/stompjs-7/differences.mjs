// What @stomp/stompjs does wrongly, in Node.js, in a browser and under @stomp/rx-stomp.

import { NO_HEADER } from "../differences.mjs";

export const STOMPJS_DIFFERENCES = [
  {
    cases: ["header: `:`"],
    versions: ["1.1"],
    outcome: "fails",
    shows: /^reads \S+ instead/,
    why: "unescapes headers in 1.2 only",
  },
  {
    cases: ["header: `\\`"],
    versions: ["1.1"],
    outcome: "fails",
    shows: /^reads .+, sends /,
    why: "escapes and unescapes headers in 1.2 only",
  },
  {
    cases: ["header: LF"],
    versions: ["1.1"],
    outcome: "fails",
    shows: NO_HEADER,
    why: "escapes headers in 1.2 only: the LF ends the header, and what follows is none",
  },
  {
    cases: ["header: `\\`"],
    versions: ["1.2"],
    outcome: "fails",
    shows: /^reads \S+ instead/,
    why: "unescapes in several passes: reads `\\` before `n`, `r` or `c` as an escape; sends it well",
  },
  {
    cases: ["header: CR"],
    versions: ["1.0", "1.1"],
    outcome: "fails",
    shows: /^reads "onetwo"/,
    why: "reads over every CR; sends it well",
  },
  {
    cases: ["header name: `:`", "header name: `\\`"],
    versions: ["1.1", "1.2"],
    outcome: "fails",
    shows: /^reads undefined, sends undefined/,
    why: "neither escapes nor unescapes the names of headers",
  },
  {
    cases: ["header name: LF"],
    outcome: "fails",
    shows: NO_HEADER,
    why: "does not escape the names of headers: the LF ends the header, and what follows is none",
  },
];
