// Prints what each client did, and what each server, as the tables of docs/clients.md; with
// `--check FILE` it compares.

import { readFile } from "node:fs/promises";

import { printClients } from "./client-table.mjs";
import { readRecords } from "./records.mjs";
import { printServers } from "./server-table.mjs";

const [flag, file] = process.argv.slice(2);
const clients = await readRecords("client-");
const [rules] = await readRecords("rules");
const tables = { clients: printClients(clients), servers: printServers(clients, rules) };
for (const [name, table] of Object.entries(tables)) {
  if (flag === "--check") await check(file, name, table);
  else process.stdout.write(`${table}\n`);
}

async function check(file, name, table) {
  const text = await readFile(file, "utf8");
  const [, rest = ""] = text.split(`<!-- the table of ${name} begins -->\n`);
  const [written] = rest.split(`<!-- the table of ${name} ends -->\n`);
  if (written.trim() === table.trim()) return;
  const differs = table.split("\n").filter((line) => !written.includes(line)).join("\n");
  console.error(`${file} does not hold what tests/live/run --table prints:\n${differs}`);
  process.exitCode = 1;
}
