// @stomp/rx-stomp: stompjs 7 with RxJS around it, as Angular applications use it.

import { interop } from "../interop.mjs";
import { STOMPJS_DIFFERENCES } from "../stompjs-7/differences.mjs";

const ALL = ["1.0", "1.1", "1.2"];

interop({
  name: "@stomp/rx-stomp",
  driver: ["node", new URL("driver.mjs", import.meta.url).pathname],
  transports: { websocket: ALL, tcp: ALL },
  differences: STOMPJS_DIFFERENCES,
});
