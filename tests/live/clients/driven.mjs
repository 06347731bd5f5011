// A client library that runs in a program of its own, its driver, and does what it is told.
// What the two say to each other is in README.md beside this file.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { createInterface } from "node:readline";

import { Inbox, within } from "../deadline.mjs";

/** How a connection is unless a case says otherwise. */
const PLAIN = { heartBeat: [0, 0], credentials: {}, binary: false };

/** The library has no way to do what it was told. */
export class Cannot extends Error {}

/** One driver; it has one connection at a time. */
export class Driven {
  #child;
  #exited;
  #complaints = "";
  #requests = 0;
  #answers = new Map();
  #names = 0;
  #trouble = null;
  #troubled = new Set();

  /** Whether the driver has ended. */
  ended = false;

  /** What the library reports by itself. */
  messages = new Inbox();
  errors = new Inbox();
  closes = new Inbox();

  /** Starts a driver; `version` is what it says about the version of its library. */
  static async start([program, ...args], environment = {}) {
    const driven = new Driven(spawn(program, args, {
      stdio: ["pipe", "pipe", "pipe"],
      env: { ...process.env, ...environment },
    }));
    try {
      driven.version = (await driven.do("hello")).version;
    } catch (error) {
      await driven.kill();
      throw error;
    }
    return driven;
  }

  constructor(child) {
    this.#child = child;
    this.#exited = once(child, "exit");
    this.#exited.catch(() => {}); // a program that does not start fails its first request
    child.stdin.on("error", () => {}); // a program that has ended fails its requests too
    child.stderr.setEncoding("utf8").on("data", (text) => (this.#complaints += text));
    createInterface({ input: child.stdout }).on("line", (line) => this.#hear(line));
    const ended = () => this.#end(`the driver ended\n${this.#complaints}`);
    child.once("error", ended).once("exit", ended);
    const kill = () => child.kill("SIGKILL");
    process.once("exit", kill);
    child.once("exit", () => process.removeListener("exit", kill));
  }

  /** Has something done, and waits until the library has done it. */
  do(what, parameters = {}) {
    this.#requests += 1;
    const request = this.#requests;
    const answered = new Promise((resolve, reject) => this.#answers.set(request, { resolve, reject }));
    this.#child.stdin.write(`${JSON.stringify({ request, do: what, ...parameters })}\n`);
    if (this.ended) this.#end("the driver has ended");
    return within(answered, `the client to ${what}`);
  }

  /** Connects; what the connection before this one reported is forgotten. */
  async connect(parameters) {
    for (const inbox of [this.messages, this.errors, this.closes]) inbox.drain();
    const connected = await this.do("connect", { ...PLAIN, ...parameters });
    this.#trouble = null;
    return connected;
  }

  /** A name that no other case uses. */
  destination(kind) {
    this.#names += 1;
    return `/${kind}/${process.pid}-${this.#child.pid}-${this.#names}`;
  }

  /** Publishes a text, or octets where `body` is a Buffer. */
  send(destination, body, parameters = {}) {
    const octets = Buffer.from(body);
    const text = typeof body === "string";
    return this.do("send", { destination, body: octets.toString("base64"), text, ...parameters });
  }

  /** The next message that the library hands out, its body as a Buffer. */
  async message() {
    const message = await this.unlessTroubled(this.messages.next("a message"));
    return { ...message, body: Buffer.from(message.body, "base64") };
  }

  /** The outcome of `promise`, or an error once the library has reported one, or a close. */
  async unlessTroubled(promise) {
    let look;
    const troubled = new Promise((_, reject) => {
      look = () => this.#trouble !== null && reject(new Error(this.#trouble));
      this.#troubled.add(look);
      look();
    });
    try {
      return await Promise.race([promise, troubled]);
    } finally {
      this.#troubled.delete(look);
      promise.catch(() => {}); // nobody waits for it any more
    }
  }

  /** As if somebody had pulled the plug of the program, but not of its machine. */
  async kill() {
    this.ended = true;
    this.#signal("SIGKILL");
    await this.#exited.catch(() => {});
  }

  /** The program does nothing any more, and its connection stays open. */
  freeze() {
    this.#signal("SIGSTOP");
  }

  /** To the driver and what it has started: some libraries live in a browser. */
  #signal(signal) {
    for (const pid of [this.#child.pid, ...descendants(this.#child.pid)]) {
      try {
        process.kill(pid, signal);
      } catch (error) {
        if (error.code !== "ESRCH") throw error; // it has ended by itself
      }
    }
  }

  #hear(line) {
    const said = JSON.parse(line);
    if (said.event === "message") this.messages.push(said);
    else if (said.event === "error") this.#report(this.errors, said, `ERROR: ${said.message}`);
    else if (said.event === "closed") this.#report(this.closes, said, "the connection was closed");
    else this.#answer(said);
  }

  #report(inbox, said, trouble) {
    inbox.push(said);
    this.#trouble ??= trouble;
    for (const look of this.#troubled) look();
  }

  #answer({ request, done, cannot, failed }) {
    const { resolve, reject } = this.#answers.get(request);
    this.#answers.delete(request);
    if (cannot !== undefined) reject(new Cannot(cannot));
    else if (failed !== undefined) reject(new Error(failed));
    else resolve(done);
  }

  #end(reason) {
    this.ended = true;
    for (const { reject } of this.#answers.values()) reject(new Error(reason));
    this.#answers.clear();
    for (const inbox of [this.messages, this.errors, this.closes]) inbox.end(reason);
    this.#trouble ??= reason;
    for (const look of this.#troubled) look();
  }
}

/** The processes that a process has started, and those that they have. */
function descendants(pid) {
  const children = new Map();
  for (const process of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    const parent = parentOf(process);
    children.set(parent, [...(children.get(parent) ?? []), Number(process)]);
  }
  const found = [];
  for (let generation = [pid]; generation.length > 0; found.push(...generation)) {
    generation = generation.flatMap((parent) => children.get(parent) ?? []);
  }
  return found;
}

/** `undefined` if it has just ended. */
function parentOf(pid) {
  try {
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    return Number(/^PPid:\s+(\d+)$/m.exec(status)[1]);
  } catch {
    return undefined;
  }
}
