// @stomp/stompjs 7: what most people's browsers run, here in Node.js.

import { interop } from "../interop.mjs";
import { STOMPJS_DIFFERENCES } from "./differences.mjs";

const ALL = ["1.0", "1.1", "1.2"];

interop({
  name: "@stomp/stompjs",
  driver: ["node", new URL("driver.mjs", import.meta.url).pathname],
  transports: { websocket: ALL, tcp: ALL },
  differences: STOMPJS_DIFFERENCES,
});
