// stompman 3: the asynchronous client of Python.

import { interop, python } from "../interop.mjs";

interop({
  name: "stompman",
  ...python("stompman"),
  transports: { websocket: ["1.2"], tcp: ["1.2"] },
  differences: [
    { cases: ["transaction: ACK"], outcome: "cannot", why: "has only SEND in transactions" },
    {
      cases: ["body of any octets"],
      transports: ["websocket"],
      outcome: "fails",
      shows: { stompbox: /^ERROR: WebSocket error/, RabbitMQ: /^waited \d+ ms for MESSAGE/ },
      why: "sends octets that are not UTF-8 in a text message, which RFC 6455 forbids",
    },
    {
      cases: ["header: CR"],
      outcome: "fails",
      shows: /^reads "onetwo", sends "onetwo"/,
      why: "drops every CR",
    },
    {
      cases: ["ERROR of CONNECT"],
      outcome: "fails",
      shows: /ConnectionLostOnLifespanEnter/,
      why: "keeps the ERROR to itself and says only that the connection was lost",
    },
  ],
});
