// What each server did with all clients and with none, as a table.

import { CASES } from "./cases.mjs";
import { RULES } from "./no-library/rules.mjs";
import { byPlace, markdown, Notes, placeOf } from "./notes.mjs";
import { SERVERS } from "./servers.mjs";

export function printServers(clients, rules) {
  const notes = new Notes();
  const records = [...clients.flatMap((client) => client.records), ...rules.records];
  const table = markdown([
    ["", ...SERVERS.map(({ name }) => rules.versions[name] ?? name)],
    ...[...CASES, ...RULES].map((asked) => [
      asked.name,
      ...SERVERS.map(({ name }) => cell(name, records.filter((one) => one.case === asked.name), notes)),
    ]),
  ]);
  return `${table}\n\n${notes.lines().join("\n")}\n`;
}

/** What lies in a client, and is the same whoever the server is, is not told here. */
function cell(server, all, notes) {
  const records = all.filter((record) => record.server === server).sort(byPlace);
  const judged = records.filter(({ outcome, ofServer }) => outcome === "passes" || ofServer);
  const others = judged.filter(({ outcome }) => outcome !== "passes");
  if (others.length === 0) return "yes";
  const numbers = [...new Set(others.map(reason))].map((why) => {
    const found = others.filter((record) => reason(record) === why);
    return `[${notes.number(why, placeOf(server, records, found))}]`;
  });
  return [others.length === judged.length ? "no" : "partly", ...numbers].join(" ");
}

function reason({ why, rule, client }) {
  // Without a rule that the server breaks, it is what a client makes of this server.
  return rule === undefined ? `${client} ${why}` : `${why} (${rule})`;
}
