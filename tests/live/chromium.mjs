// Debian's Chromium, driven by playwright-core.

import { mkdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { chromium } from "playwright-core";

import { DEADLINE } from "./deadline.mjs";

/** It is not to look for anything outside of this machine. */
const FLAGS = [
  "--no-sandbox", // as root there is none
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** A headless browser with a new, empty profile. */
export async function launchChromium() {
  return chromium.launch({ executablePath: "/usr/bin/chromium", headless: true, args: FLAGS });
}

/** A new tab with its own storage; whatever it complains about is collected in `complaints`. */
export async function openTab(browser, options = {}) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  page.setDefaultTimeout(DEADLINE);
  const complaints = [];
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
  return { page, complaints };
}

/** Saves what the page looks like and returns the file's path. */
export async function screenshot(page, name) {
  const folder = process.env.LIVE_ARTIFACTS ?? join(tmpdir(), "stompbox-live");
  await mkdir(folder, { recursive: true });
  const path = join(folder, `${name}.png`);
  await page.screenshot({ path });
  return path;
}
