// The reasons under a table, each with a number, and where each of them holds.

const TRANSPORTS = { websocket: "WebSocket", tcp: "TCP" };

export class Notes {
  #places = new Map();

  /** The number of a reason, which holds for this place as well. */
  number(why, place) {
    if (!this.#places.has(why)) this.#places.set(why, new Set());
    this.#places.get(why).add(place);
    return [...this.#places.keys()].indexOf(why) + 1;
  }

  lines() {
    const notes = [...this.#places];
    return notes.map(([why, places], index) => `${index + 1}. ${[...places].join(", ")}: ${why}.`);
  }
}

/** `who`, and of its records the versions and the transport of those `found`, unless all are. */
export function placeOf(who, records, found) {
  const versions = distinct(found, "version");
  const transports = distinct(found, "transport");
  const everyVersion = versions.length === distinct(records, "version").length;
  const everyTransport = transports.length === distinct(records, "transport").length;
  const inVersions = everyVersion ? "" : ` in ${versions.join(" and ")}`;
  const over = everyTransport ? "" : ` over ${TRANSPORTS[transports[0]]}`;
  return who + inVersions + over;
}

/** In the order of versions, then of transports. */
export function byPlace(one, other) {
  const key = ({ version, transport }) => `${version} ${transport}`;
  return key(one) < key(other) ? -1 : 1;
}

/** A table in Markdown; its first row is the head. */
export function markdown([head, ...rows]) {
  const lines = [head, head.map(() => "---"), ...rows];
  return lines.map((cells) => `| ${cells.join(" | ")} |`.replace("|  |", "| |")).join("\n");
}

function distinct(records, field) {
  return [...new Set(records.map((record) => record[field]))];
}
