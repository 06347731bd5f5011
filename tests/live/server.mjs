// Starts and stops the programs under test.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline";

import { within } from "./deadline.mjs";

/**
 * The chat example; `listen` and `tcp` are addresses, port 0 means any that is free. `broker` is the
 * URL of an engine, for which it must have been built.
 */
export function startChat({ listen = "127.0.0.1:0", tcp = "127.0.0.1:0", broker = "memory:" } = {}) {
  const args = ["--listen", listen, "--tcp", tcp, "--broker", broker];
  return Server.start("STOMPBOX_CHAT", args, ["chat", "tcp"]);
}

/** `stompbox serve` with further arguments. */
export function startServe(...more) {
  const addresses = ["--ws", "127.0.0.1:0", "--path", "/ws", "--tcp", "127.0.0.1:0", "--echo", "/echo"];
  return Server.start("STOMPBOX_PROGRAM", ["serve", ...addresses, ...more], ["ws", "echo", "tcp"]);
}

/** A running program; the addresses that it printed are in `addresses`, by their label. */
class Server {
  #child;
  #exited;
  #complaints = "";
  addresses = {};

  /** Starts the program that the environment names and waits until it listens. */
  static async start(variable, args, labels) {
    const program = process.env[variable];
    assert.ok(program, `${variable} names no program: start the tests with tests/live/run`);
    const server = new Server(spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] }));
    try {
      await within(server.#printed(labels), `${program} to print ${labels.join(", ")}`);
    } catch (error) {
      server.#child.kill("SIGKILL");
      throw new Error(`${error.message}\n${server.#complaints}`);
    }
    return server;
  }

  constructor(child) {
    this.#child = child;
    this.#exited = once(child, "exit");
    this.#exited.catch(() => {}); // a program that does not start is reported by `start`
    child.stderr.setEncoding("utf8").on("data", (text) => (this.#complaints += text));
    const kill = () => child.kill("SIGKILL");
    process.once("exit", kill);
    child.once("exit", () => process.removeListener("exit", kill));
  }

  get pid() {
    return this.#child.pid;
  }

  /** Stops it as Ctrl-C does; it has to end by itself, and well. */
  async stop() {
    if (this.#child.exitCode === null && this.#child.signalCode === null) this.#child.kill("SIGINT");
    let code, signal;
    try {
      [code, signal] = await within(this.#exited, "the server to stop at SIGINT");
    } finally {
      this.#child.kill("SIGKILL");
    }
    assert.deepEqual({ code, signal }, { code: 0, signal: null }, this.#complaints);
  }

  /** Resident memory now and at its highest so far, in bytes. */
  async memory() {
    const status = await readFile(`/proc/${this.pid}/status`, "utf8");
    const bytes = (name) => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(status)[1]) * 1024;
    return { now: bytes("VmRSS"), peak: bytes("VmHWM") };
  }

  async #printed(labels) {
    const missing = new Set(labels);
    const lines = createInterface({ input: this.#child.stdout });
    await new Promise((resolve, reject) => {
      this.#exited.then(
        ([code, signal]) => reject(new Error(`ended at once: exit code ${code}, signal ${signal}`)),
        reject,
      );
      // Goes on reading afterwards, so that the program never blocks on what it prints.
      lines.on("line", (line) => {
        const [, label, address] = /^([a-z]+): (\S+)$/.exec(line) ?? [];
        if (!missing.delete(label)) return;
        this.addresses[label] = address;
        if (missing.size === 0) resolve();
      });
    });
  }
}
