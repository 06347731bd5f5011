// What each client did with stompbox, as a table.

import { CASES } from "./cases.mjs";
import { byPlace, markdown, Notes, placeOf } from "./notes.mjs";
import { STOMPBOX } from "./stompbox.mjs";

const TRANSPORTS = { websocket: "WebSocket", tcp: "TCP" };

export function printClients(all) {
  const notes = new Notes();
  const clients = all.map(withStompbox).sort(byName);
  const table = markdown([
    ["", ...clients.map(({ name, records }) => `${name} ${versionOf(records)}`)],
    ...Object.keys(TRANSPORTS).map((transport) => [
      `STOMP over ${TRANSPORTS[transport]}`,
      ...clients.map(({ transports }) => transports[transport]?.join(", ") ?? "–"),
    ]),
    ...CASES.map(({ name }) => [name, ...clients.map((client) => cell(client, name, notes))]),
  ]);
  return `${table}\n\n${notes.lines().join("\n")}\n`;
}

function withStompbox(client) {
  return { ...client, records: client.records.filter(({ server }) => server === STOMPBOX.name) };
}

function byName(one, other) {
  const key = ({ name }) => name.replace(/^@[^/]+\//, "").toLowerCase();
  return key(one) < key(other) ? -1 : 1;
}

function versionOf(records) {
  return records.find(({ library }) => library)?.library;
}

function cell(client, name, notes) {
  const records = client.records.filter((record) => record.case === name).sort(byPlace);
  if (records.length === 0) return "–";
  const others = records.filter(({ outcome }) => outcome !== "passes");
  if (others.length === 0) return "yes";
  const numbers = [...new Set(others.map(({ why }) => why))].map((why) => {
    const found = others.filter((record) => record.why === why);
    return `[${notes.number(why, placeOf(client.name, client.records, found))}]`;
  });
  return [others.length === records.length ? "no" : "partly", ...numbers].join(" ");
}
