// What a report of the Autobahn test suite says.

/** The groups that must have cases. */
const GROUPS = new Map([
  ["1", "Framing"],
  ["2", "Pings and Pongs"],
  ["3", "Reserved bits"],
  ["4", "Opcodes"],
  ["5", "Fragmentation"],
  ["6", "UTF-8"],
  ["7", "Close"],
  ["9", "Limits and performance"],
  ["10", "Miscellaneous"],
]);

/** What a case may have come to; NON-STRICT is what RFC 6455 leaves open and the suite likes less. */
const PASSED = ["OK", "NON-STRICT", "INFORMATIONAL"];

/** A table of the groups, and every case that is not simply OK. */
export class Verdict {
  #cases;

  /** `announced` are the names of all cases, `report` has what is known of those that were run. */
  constructor({ announced, report }) {
    this.#cases = announced.map((name) => new Case(name, report[name]));
  }

  /** Whether every case passed, and no group is without. */
  get passed() {
    const tested = new Set(this.#cases.map((each) => each.group));
    const complete = [...GROUPS.keys()].every((group) => tested.has(group));
    return complete && this.#cases.every((each) => each.passed);
  }

  toString() {
    const rows = [...GROUPS].map(([group, title]) => ({ group, title, ...this.#row(group) }));
    const table = rows.map(({ group, title, cases, failed, seconds, ...passed }) => {
      const counts = [cases, ...PASSED.map((result) => passed[result]), failed, seconds.toFixed(1)];
      return line(`${group.padStart(2)} ${title}`, counts);
    });
    const noted = this.#cases.filter((each) => each.result !== "OK");
    const heading = line("Autobahn test suite", ["cases", ...PASSED, "failed", "seconds"]);
    return [heading, ...table, "", ...noted.map(String), ""].join("\n");
  }

  #row(group) {
    const cases = this.#cases.filter((each) => each.group === group);
    const row = { cases: cases.length, seconds: 0 };
    for (const result of PASSED) row[result] = cases.filter((each) => each.result === result).length;
    for (const { seconds } of cases) row.seconds += seconds;
    row.failed = cases.filter((each) => !each.passed).length;
    return row;
  }
}

/** One case: what the server did, and how it closed. */
class Case {
  constructor(name, { behavior = "NOT RUN", behaviorClose = "NOT RUN", duration = 0, remoteCloseCode } = {}) {
    Object.assign(this, { name, behavior, behaviorClose, remoteCloseCode });
    this.group = name.split(".", 1)[0];
    this.seconds = duration / 1000;
  }

  get passed() {
    return PASSED.includes(this.result);
  }

  /** What is worse of the two. */
  get result() {
    const rank = (result) => (PASSED.includes(result) ? PASSED.indexOf(result) : PASSED.length);
    return rank(this.behaviorClose) > rank(this.behavior) ? this.behaviorClose : this.behavior;
  }

  toString() {
    const close = `close ${this.behaviorClose}, code ${this.remoteCloseCode ?? "none"}`;
    return `${this.name.padEnd(8)}${this.behavior}; ${close}`;
  }
}

function line(title, cells) {
  return [title.padEnd(26), ...cells.map((cell) => `${cell}`.padStart(14))].join("");
}
