// What happened, kept under `LIVE_ARTIFACTS` for the table.

import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** Keeps a record under a name. */
export async function keep(name, record) {
  const folder = process.env.LIVE_ARTIFACTS;
  if (folder === undefined) return;
  await mkdir(folder, { recursive: true });
  const file = `${name.replaceAll(/[^\w.-]+/g, "-")}.json`;
  await writeFile(join(folder, file), `${JSON.stringify(record, null, 2)}\n`);
}

/** The records whose name begins so. */
export async function readRecords(beginning) {
  const folder = process.env.LIVE_ARTIFACTS;
  if (folder === undefined) throw new Error("LIVE_ARTIFACTS is not set: use tests/live/run --table");
  const files = (await readdir(folder)).filter((name) => name.startsWith(beginning));
  const texts = await Promise.all(files.map((name) => readFile(join(folder, name), "utf8")));
  return texts.map((text) => JSON.parse(text));
}
