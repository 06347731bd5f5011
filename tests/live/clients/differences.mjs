// What is known of clients and servers that do a case otherwise, and whether it still holds.

import assert from "node:assert/strict";

/**
 * What shows that a client sent a line that is no header: an LF that it had to escape and did not.
 * Neither server hands it on; ours says why.
 */
export const NO_HEADER = {
  stompbox: /^ERROR: malformed frame/,
  RabbitMQ: /^the connection was closed/,
};

/**
 * The first of the differences that is one of this place, or `undefined`. `cases` of a difference,
 * and where it is not everywhere `versions`, `transports`, `clients` and `servers`, say where it is.
 */
export function knownAt(place, differences) {
  return differences.find(({ cases, versions, transports, clients, servers }) =>
    cases.includes(place.case)
    && (versions?.includes(place.version) ?? true)
    && (transports?.includes(place.transport) ?? true)
    && (clients?.includes(place.client) ?? true)
    && (servers?.includes(place.server) ?? true));
}

/** Fails if a difference is about a case that is not among these names: nobody would miss it. */
export function checkCases(differences, names) {
  const unknown = differences.flatMap(({ cases }) => cases).filter((name) => !names.includes(name));
  assert.deepEqual(unknown, [], "no such cases");
}

/** Fails unless a case passed or, where a difference is known, came to exactly that. */
export function compare({ outcome, why }, known, server) {
  assert.equal(outcome, known?.outcome ?? "passes", why ?? `not any more: ${known?.why}`);
  if (known?.shows === undefined) return;
  const shows = known.shows instanceof RegExp ? known.shows : known.shows[server];
  assert.match(why, shows, "it fails in another way than it is known to");
}
