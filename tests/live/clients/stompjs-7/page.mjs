// In the page: the driver, at the hands of `chromium-driver.mjs`, which has put in what tells the test.

import { StompjsDriver } from "./stompjs.mjs";

function reportMessage(number, subscription, headers, octets) {
  let characters = "";
  for (const octet of octets) characters += String.fromCharCode(octet);
  return globalThis.report("message", { number, subscription, headers, body: btoa(characters) });
}

globalThis.driver = new StompjsDriver(globalThis.report, reportMessage);
