// Prints what each client did, as a table for docs/clients.md; with `--check FILE` it compares.

import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";

import { CASES } from "./cases.mjs";

const BEGIN = "<!-- the table begins -->\n";
const END = "<!-- the table ends -->\n";
const TRANSPORTS = { websocket: "WebSocket", tcp: "TCP" };

async function readClients(folder) {
  const files = (await readdir(folder)).filter((name) => /^client-.+\.json$/.test(name));
  const clients = await Promise.all(files.map(async (name) => JSON.parse(await readFile(join(folder, name), "utf8"))));
  const key = ({ name }) => name.replace(/^@[^/]+\//, "").toLowerCase();
  return clients.sort((one, other) => (key(one) < key(other) ? -1 : 1));
}

function print(clients) {
  const notes = new Notes();
  const rows = [
    ["", ...clients.map(({ name, records }) => `${name} ${records.find(({ library }) => library)?.library}`)],
    ["---", ...clients.map(() => "---")],
    ...Object.keys(TRANSPORTS).map((transport) => [
      `STOMP over ${TRANSPORTS[transport]}`,
      ...clients.map(({ transports }) => transports[transport]?.join(", ") ?? "–"),
    ]),
    ...CASES.map(({ name }) => [name, ...clients.map((client) => cell(client, name, notes))]),
  ];
  const lines = rows.map((cells) => `| ${cells.join(" | ")} |`.replace("|  |", "| |"));
  return `${lines.join("\n")}\n\n${notes.lines().join("\n")}\n`;
}

function cell(client, name, notes) {
  const records = client.records.filter((record) => record.case === name).sort(byPlace);
  if (records.length === 0) return "–";
  const others = records.filter(({ outcome }) => outcome !== "passes");
  if (others.length === 0) return "yes";
  const reasons = [...new Set(others.map(({ why }) => why))];
  const numbers = reasons.map((why) => notes.number(why, place(client, records, others, why)));
  return `${others.length === records.length ? "no" : "partly"} ${numbers.map((number) => `[${number}]`).join(" ")}`;
}

function byPlace(one, other) {
  const key = ({ version, transport }) => `${version} ${transport}`;
  return key(one) < key(other) ? -1 : 1;
}

/** The client, with the versions and the transport where a reason holds, unless it does in all. */
function place({ name }, records, others, why) {
  const found = others.filter((record) => record.why === why);
  const distinct = (from, field) => [...new Set(from.map((record) => record[field]))];
  const versions = distinct(found, "version");
  const transports = distinct(found, "transport");
  const inVersions = versions.length < distinct(records, "version").length ? ` in ${versions.join(" and ")}` : "";
  const over = transports.length < distinct(records, "transport").length ? ` over ${TRANSPORTS[transports[0]]}` : "";
  return name + inVersions + over;
}

/** The reasons under the table, each with a number. */
class Notes {
  #places = new Map();

  number(why, place) {
    if (!this.#places.has(why)) this.#places.set(why, new Set());
    this.#places.get(why).add(place);
    return [...this.#places.keys()].indexOf(why) + 1;
  }

  lines() {
    return [...this.#places].map(([why, places], index) => `${index + 1}. ${[...places].join(", ")}: ${why}.`);
  }
}

async function check(file, table) {
  const text = await readFile(file, "utf8");
  const [, rest = ""] = text.split(BEGIN);
  const [written] = rest.split(END);
  if (written.trim() === table.trim()) return;
  const differs = table.split("\n").filter((line) => !written.includes(line));
  console.error(`${file} does not hold the table that tests/live/run --table prints:\n${differs.join("\n")}`);
  process.exitCode = 1;
}

const folder = process.env.LIVE_ARTIFACTS;
if (folder === undefined) throw new Error("LIVE_ARTIFACTS names no folder: use tests/live/run --table");
const table = print(await readClients(folder));
const [flag, file] = process.argv.slice(2);
if (flag === "--check") await check(file, table);
else process.stdout.write(table);
