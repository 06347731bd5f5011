// The chat page, as people use it.

import { openTab } from "./chromium.mjs";

/** A tab that has joined a room. */
export async function visit(browser, url, name, room, options) {
  const { page } = await openTab(browser, options);
  await page.goto(`${url}?${new URLSearchParams({ name, room })}`);
  await connected(page);
  return page;
}

export const connected = (page) => page.locator('#status[data-state="connected"]').waitFor();
export const seen = (page, text) => page.locator(".message .text", { hasText: text }).first().waitFor();
export const notice = (page, text) => page.locator(".notice", { hasText: text }).first().waitFor();

/** Types a message and sends it with Enter; several lines with Shift and Enter between them. */
export async function write(page, text) {
  const box = page.getByLabel("Message", { exact: true });
  for (const [number, line] of text.split("\n").entries()) {
    if (number > 0) await box.press("Shift+Enter");
    await box.pressSequentially(line);
  }
  await box.press("Enter");
}

/** What stands in the log, oldest first. */
export function conversation(page) {
  return page.locator(".message").evaluateAll((items) =>
    items.map((item) => ({
      writer: item.querySelector(".writer").textContent,
      // Its own text only: the time stands beside it.
      text: item.querySelector(".text").firstChild.textContent,
      own: item.classList.contains("own"),
    })));
}
