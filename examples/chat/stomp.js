// STOMP 1.2 over a WebSocket: what a page needs of it, without a library.

/** How often either side is to be heard of at least, in milliseconds. */
const HEART_BEAT = 10_000;

/** The first wait before connecting again, and the longest, in milliseconds. */
const FIRST_WAIT = 500;
const LONGEST_WAIT = 10_000;

const LF = 0x0a;
const CR = 0x0d;
const ESCAPES = { "\\": "\\\\", "\r": "\\r", "\n": "\\n", ":": "\\c" };
const UNESCAPES = { "\\\\": "\\", "\\r": "\r", "\\n": "\n", "\\c": ":" };

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** The text of a frame. Neither CONNECT nor CONNECTED is ever escaped (STOMP 1.2, "Value Encoding"). */
function encodeFrame(command, headers, body = "") {
  const escape = (text) =>
    command === "CONNECT" ? text : String(text).replace(/[\\\r\n:]/g, (found) => ESCAPES[found]);
  const lines = Object.entries(headers).map(([name, value]) => `${escape(name)}:${escape(value)}\n`);
  // Counted in octets, which for text outside of ASCII are more than its characters.
  if (body !== "") lines.push(`content-length:${encoder.encode(body).length}\n`);
  return `${command}\n${lines.join("")}\n${body}\0`;
}

/** Cuts what arrives into frames, however it is spread over WebSocket messages. */
class FrameDecoder {
  #pending = new Uint8Array(0);

  /** Takes more octets and returns the frames that they complete. */
  feed(octets) {
    const joined = new Uint8Array(this.#pending.length + octets.length);
    joined.set(this.#pending);
    joined.set(octets, this.#pending.length);
    this.#pending = joined;
    const frames = [];
    for (let frame = this.#next(); frame !== null; frame = this.#next()) frames.push(frame);
    return frames;
  }

  #next() {
    const octets = this.#pending;
    let start = 0;
    while (octets[start] === LF || octets[start] === CR) start += 1; // heart-beats
    const lines = [];
    let line = start;
    for (;;) {
      const end = octets.indexOf(LF, line);
      if (end < 0) return this.#wait(start);
      const text = decoder.decode(octets.subarray(line, octets[end - 1] === CR ? end - 1 : end));
      line = end + 1;
      if (text === "") break;
      lines.push(text);
    }
    const [command, ...headerLines] = lines;
    const headers = decodeHeaders(command, headerLines);
    const length = headers.get("content-length");
    const end = length === undefined ? octets.indexOf(0, line) : line + Number(length);
    if (end < 0 || end >= octets.length) return this.#wait(start);
    this.#pending = octets.subarray(end + 1);
    return { command, headers, body: decoder.decode(octets.subarray(line, end)) };
  }

  #wait(start) {
    this.#pending = this.#pending.subarray(start);
    return null;
  }
}

/** The headers as a map; of a repeated one the first counts (STOMP 1.2, "Repeated Header Entries"). */
function decodeHeaders(command, lines) {
  const unescape = (text) =>
    command === "CONNECTED" ? text : text.replace(/\\[\\rnc]/g, (found) => UNESCAPES[found]);
  const headers = new Map();
  for (const line of lines) {
    const colon = line.indexOf(":");
    const name = unescape(line.slice(0, colon));
    if (!headers.has(name)) headers.set(name, unescape(line.slice(colon + 1)));
  }
  return headers;
}

/**
 * A STOMP connection that comes back by itself until it is closed.
 *
 * `listener.connected()` is called at each CONNECTED, `listener.frame(frame)` with all that follows
 * it and with every ERROR, `listener.lost()` when the connection, or an attempt to make one, ended.
 */
export class StompConnection {
  #url;
  #listener;
  #socket = null;
  #attempts = 0;
  #heardAt = 0;
  #timers = [];

  constructor(url, listener) {
    this.#url = url;
    this.#listener = listener;
  }

  open() {
    this.#end();
    const socket = new WebSocket(this.#url, ["v12.stomp"]);
    const frames = new FrameDecoder();
    this.#socket = socket;
    socket.binaryType = "arraybuffer";
    socket.addEventListener("open", () =>
      this.send("CONNECT", {
        "accept-version": "1.2",
        host: location.hostname,
        "heart-beat": `${HEART_BEAT},${HEART_BEAT}`,
      }));
    socket.addEventListener("message", ({ data }) => {
      if (socket !== this.#socket) return;
      this.#heardAt = performance.now();
      const octets = typeof data === "string" ? encoder.encode(data) : new Uint8Array(data);
      for (const frame of frames.feed(octets)) this.#take(frame);
    });
    socket.addEventListener("close", () => socket === this.#socket && this.#lose());
    this.#watch(HEART_BEAT); // for the Upgrade and CONNECTED
  }

  /** Sends a frame; false when there is no connection to send it on. */
  send(command, headers, body) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(encodeFrame(command, headers, body));
    return true;
  }

  /** The connection does what it is for: should it be lost, the next wait is a short one again. */
  proven() {
    this.#attempts = 0;
  }

  /** Says goodbye and stays closed. */
  close() {
    this.send("DISCONNECT", { receipt: "goodbye" });
    this.#end();
  }

  #take(frame) {
    if (frame.command === "CONNECTED") {
      this.#end(this.#socket);
      const [sends, wants] = (frame.headers.get("heart-beat") ?? "0,0").split(",").map(Number);
      if (wants > 0) {
        this.#timers.push(setInterval(() => this.#socket?.send("\n"), Math.max(HEART_BEAT, wants)));
      }
      if (sends > 0) this.#watch(Math.max(HEART_BEAT, sends));
      this.#listener.connected();
    } else {
      this.#listener.frame(frame);
    }
  }

  /** Gives up the connection when nothing was heard for twice the period that was agreed on. */
  #watch(period) {
    this.#heardAt = performance.now();
    const look = () => performance.now() - this.#heardAt > 2 * period && this.#lose();
    this.#timers.push(setInterval(look, period / 2));
  }

  #lose() {
    this.#end();
    const longest = Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** this.#attempts);
    this.#attempts += 1;
    // Half of the wait is chance: a restarted server is not to get everybody back in one instant.
    this.#timers.push(setTimeout(() => this.open(), longest * (0.5 + Math.random() / 2)));
    this.#listener.lost();
  }

  /** Stops the timers, and lets go of the socket unless it is the one to keep. */
  #end(keep = null) {
    this.#timers.forEach(clearTimeout);
    this.#timers = [];
    const socket = this.#socket;
    this.#socket = keep;
    if (socket !== keep) socket.close();
  }
}
