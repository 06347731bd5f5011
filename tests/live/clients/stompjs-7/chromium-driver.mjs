// Drives @stomp/stompjs in a page in Chromium: what it is told it passes on to `page.mjs`.

import { readFileSync } from "node:fs";
import { extname } from "node:path";

import { launchChromium, openTab } from "../../chromium.mjs";
import { drive, report } from "../driving.mjs";

/** Paths in the page are those under tests/live. */
const ROOT = new URL("../..", import.meta.url);
const PAGE = "/clients/stompjs-7/page.html";
const TYPES = { ".html": "text/html", ".mjs": "text/javascript", ".js": "text/javascript" };

class Driver {
  #browser;
  #tab;
  #origin;

  hello() {
    const manifest = new URL("node_modules/@stomp/stompjs/package.json", ROOT);
    return { version: JSON.parse(readFileSync(manifest, "utf8")).version };
  }

  /** In a page of the server's own origin: others it does not let in. */
  async connect(parameters) {
    const { origin } = new URL(parameters.address.replace("ws:", "http:"));
    if (this.#origin !== origin) await this.#open(origin);
    return this.#inPage("connect", parameters);
  }

  async #open(origin) {
    this.#browser ??= await launchChromium();
    await this.#tab?.context().close();
    // A page that came from nowhere may connect to this machine only if it is told so.
    ({ page: this.#tab } = await openTab(this.#browser, { permissions: ["local-network-access"] }));
    await this.#tab.exposeFunction("report", report);
    await this.#tab.route(`${origin}/**`, (route) => {
      const { pathname } = new URL(route.request().url());
      const body = readFileSync(new URL(`.${pathname}`, ROOT), "utf8");
      return route.fulfill({ contentType: TYPES[extname(pathname)], body });
    });
    await this.#tab.goto(`${origin}${PAGE}`);
    this.#origin = origin;
  }

  #inPage(what, parameters) {
    const run = ([what, parameters]) => globalThis.driver[what](parameters);
    return this.#tab.evaluate(run, [what, parameters]);
  }

  static {
    for (const what of ["subscribe", "unsubscribe", "send", "ack", "nack", "begin", "commit", "abort", "disconnect"]) {
      Driver.prototype[what] = function (parameters) {
        return this.#inPage(what, parameters);
      };
    }
  }
}

drive(new Driver());
