// What the drivers of JavaScript libraries have in common: requests in, answers and events out.

import { createInterface } from "node:readline";

/** Thrown by a driver for what its library has no way to do. */
export class Cannot extends Error {}

/** Tells the test of an event: `message`, `error` or `closed`. */
export function report(event, details) {
  say({ event, ...details });
}

/** Tells of a message; `octets` are its body. */
export function reportMessage(number, subscription, headers, octets) {
  report("message", { number, subscription, headers, body: Buffer.from(octets).toString("base64") });
}

/** Carries out requests until their end; `driver` has a method for each thing that can be done. */
export async function drive(driver) {
  // A library that throws where nobody can catch it has failed, and so has its program.
  for await (const line of createInterface({ input: process.stdin })) {
    const { request, do: what, ...parameters } = JSON.parse(line);
    answer(request, driver, what, parameters);
  }
  process.exit(0);
}

/** The octets of a request, and the text that they are. */
export function decodeBody(base64) {
  const octets = Buffer.from(base64, "base64");
  return { octets, text: octets.toString("utf8") };
}

async function answer(request, driver, what, parameters) {
  try {
    if (typeof driver[what] !== "function") throw new Cannot(`has no ${what}`);
    say({ request, done: (await driver[what](parameters)) ?? {} });
  } catch (error) {
    if (error instanceof Cannot) say({ request, cannot: error.message });
    else say({ request, failed: error?.message ?? String(error) });
  }
}

function say(what) {
  process.stdout.write(`${JSON.stringify(what)}\n`);
}
