// What @stomp/stompjs does wrongly, in Node.js, in a browser and under @stomp/rx-stomp.

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
    shows: /^ERROR: malformed frame/,
    why: "escapes headers in 1.2 only: the LF ends the header, and what follows is none",
  },
  {
    cases: ["header: `\\`"],
    versions: ["1.2"],
    outcome: "fails",
    shows: /^reads \S+ instead/,
    why: "unescapes in several passes: reads `\\` before `n`, `r` or `c` as an escape; sends it well",
  },
];
