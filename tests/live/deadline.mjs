// Waiting for events. Nothing here, and no test, waits for time to pass: a deadline only says when
// an event that should have come is missed.

/** How long an event may take on a busy machine, in milliseconds. */
export const DEADLINE = 20_000;

/** The outcome of `promise`, or an error that says `what` did not happen in time. */
export async function within(promise, what, milliseconds = DEADLINE) {
  let timer;
  const missed = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${milliseconds} ms for ${what}`)), milliseconds);
  });
  try {
    return await Promise.race([promise, missed]);
  } finally {
    clearTimeout(timer);
  }
}

/** A queue whose reader waits for what comes next. */
export class Inbox {
  #arrived = [];
  #waiting = [];
  #ended = null;

  push(item) {
    const waiting = this.#waiting.shift();
    if (waiting === undefined) this.#arrived.push(item);
    else waiting.resolve(item);
  }

  /** Nothing more will come: whoever waits, or will wait, is told `reason`. */
  end(reason) {
    this.#ended ??= reason;
    for (const { reject } of this.#waiting.splice(0)) reject(new Error(this.#ended));
  }

  /** The next item, already here or awaited until the deadline. */
  next(what = "the next item", milliseconds = DEADLINE) {
    if (this.#arrived.length > 0) return Promise.resolve(this.#arrived.shift());
    if (this.#ended !== null) return Promise.reject(new Error(`${this.#ended}, waiting for ${what}`));
    const arrival = new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
    return within(arrival, what, milliseconds);
  }

  /** Takes everything that is here without waiting. */
  drain() {
    return this.#arrived.splice(0);
  }
}
