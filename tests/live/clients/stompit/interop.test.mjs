// stompit 1: the usual client of Node.js services that talk to ActiveMQ and RabbitMQ.

import { interop } from "../interop.mjs";

interop({
  name: "stompit",
  driver: ["node", new URL("driver.mjs", import.meta.url).pathname],
  transports: { tcp: ["1.0", "1.1", "1.2"] },
  differences: [
    {
      cases: ["RECEIPT of SUBSCRIBE"],
      outcome: "cannot",
      why: "asks for none, and takes one that it did not ask for for a protocol error",
    },
  ],
});
