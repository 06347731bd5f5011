// Drives @stomp/stompjs in Node.js, over WebSocket and, with @stomp/tcp-wrapper, over TCP.

import { readFileSync } from "node:fs";

import { TCPWrapper } from "@stomp/tcp-wrapper";
import { WebSocket } from "ws";

import { drive, report, reportMessage } from "../driving.mjs";
import { StompjsDriver } from "./stompjs.mjs";

Object.assign(globalThis, { WebSocket }); // what stompjs expects to find

class Driver extends StompjsDriver {
  hello() {
    const manifest = new URL("../../node_modules/@stomp/stompjs/package.json", import.meta.url);
    return { version: JSON.parse(readFileSync(manifest, "utf8")).version };
  }

  server({ transport, address }) {
    if (transport !== "tcp") return super.server({ address });
    const [host, port] = address.split(":");
    return { webSocketFactory: () => new TCPWrapper(host, Number(port)) };
  }
}

drive(new Driver(report, reportMessage));
