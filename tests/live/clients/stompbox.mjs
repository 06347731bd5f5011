// `stompbox serve`, started for each client.

import { startServe } from "../server.mjs";
import { PERIOD } from "./cases.mjs";

export const STOMPBOX = {
  name: "stompbox",
  start: () => start(),
  differences: [
    {
      cases: ["an escape that is undefined is fatal"],
      outcome: "fails",
      shows: /^the answer is RECEIPT/,
      why: "takes a `\\` that begins no escape for itself, since clients that escape nothing send it; "
        + "with `--strict` it answers ERROR",
      rule: 'STOMP 1.2, "Value Encoding": undefined escape sequences "MUST be treated as a fatal '
        + 'protocol error"',
    },
  ],
};

/** The same in its strict profile, which refuses what clients do wrongly. */
export const STRICT = {
  name: "stompbox --strict",
  start: () => start("--strict"),
  differences: [],
};

async function start(...more) {
  const open = await startServe("--heart-beat", `${PERIOD},${PERIOD}`, ...more);
  const guarded = await startServe("--login", "ann", "--passcode", "right", ...more);
  return {
    open: { addresses: open.addresses, credentials: {} },
    guarded: { addresses: guarded.addresses, refusal: /access refused/ },
    stop: () => Promise.all([open.stop(), guarded.stop()]),
  };
}
