// @stomp/stompjs 7 where it belongs: in a page in a browser.

import { interop } from "../interop.mjs";
import { STOMPJS_DIFFERENCES } from "./differences.mjs";

interop({
  name: "@stomp/stompjs in Chromium",
  driver: ["node", new URL("chromium-driver.mjs", import.meta.url).pathname],
  transports: { websocket: ["1.0", "1.1", "1.2"] },
  differences: STOMPJS_DIFFERENCES,
});
