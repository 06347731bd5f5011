// STOMP frames as octets, independent of the library under test and of every client's library.

const ESCAPES = { "\\": "\\\\", "\r": "\\r", "\n": "\\n", ":": "\\c" };
const UNESCAPES = { "\\\\": "\\", "\\r": "\r", "\\n": "\n", "\\c": ":" };

/** A STOMP 1.2 frame; `content-length` is written only if `headers` say it. */
export function encodeFrame(command, headers = {}, body = "") {
  const escape = (text) =>
    command === "CONNECT" ? text : String(text).replace(/[\\\r\n:]/g, (found) => ESCAPES[found]);
  const lines = Object.entries(headers).map(([name, value]) => `${escape(name)}:${escape(value)}\n`);
  return Buffer.concat([Buffer.from(`${command}\n${lines.join("")}\n`), Buffer.from(body), Buffer.from([0])]);
}

/** Cuts octets into frames: `{ command, headers, body }`, the body a Buffer. */
export class FrameDecoder {
  #pending = Buffer.alloc(0);

  /** Takes more octets and returns the frames that they complete. */
  feed(octets) {
    this.#pending = this.#pending.length === 0 ? octets : Buffer.concat([this.#pending, octets]);
    const frames = [];
    for (let frame = this.#next(); frame !== null; frame = this.#next()) frames.push(frame);
    return frames;
  }

  #next() {
    let start = 0;
    while (this.#pending[start] === 0x0a || this.#pending[start] === 0x0d) start += 1;
    this.#pending = this.#pending.subarray(start);
    const head = this.#pending.indexOf("\n\n");
    if (head < 0) return null;
    const [command, ...lines] = this.#pending.toString("utf8", 0, head).split("\n");
    const headers = decodeHeaders(command, lines);
    const body = head + 2;
    const length = headers["content-length"];
    const end = length === undefined ? this.#pending.indexOf(0, body) : body + Number(length);
    if (end < 0 || end >= this.#pending.length) return null;
    if (this.#pending[end] !== 0) throw new Error(`no NUL after the body of this ${command}`);
    const frame = { command, headers, body: this.#pending.subarray(body, end) };
    this.#pending = this.#pending.subarray(end + 1);
    return frame;
  }
}

function decodeHeaders(command, lines) {
  const unescape = (text) =>
    command === "CONNECTED" ? text : text.replace(/\\[\\rnc]/g, (found) => UNESCAPES[found]);
  const headers = Object.create(null);
  for (const line of lines) {
    const colon = line.indexOf(":");
    if (colon < 0) throw new Error(`a header without a colon: ${JSON.stringify(line)}`);
    headers[unescape(line.slice(0, colon))] ??= unescape(line.slice(colon + 1));
  }
  return headers;
}
