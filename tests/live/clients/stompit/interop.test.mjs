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
    {
      cases: ["ERROR of a SEND"],
      servers: ["RabbitMQ"],
      outcome: "fails",
      shows: /^the driver ended[^]+Unhandled 'error' event/,
      why: "throws where nobody can catch it when the `content-type` of an ERROR is `text/plain`",
    },
  ],
});
