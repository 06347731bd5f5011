// RECEIPTs, for drivers in Node.js and in a page.

/** Waits for the receipts that it hands out, for libraries that only report them. */
export class Receipts {
  #handed = 0;
  #waiting = new Map();

  /** A new receipt id, and when its RECEIPT has come. */
  next() {
    this.#handed += 1;
    const id = `receipt-${this.#handed}`;
    return { id, arrived: new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject })) };
  }

  arrive(id) {
    this.#waiting.get(id)?.resolve();
    this.#waiting.delete(id);
  }

  /** None will come any more. */
  fail(reason) {
    for (const { reject } of this.#waiting.values()) reject(new Error(reason));
    this.#waiting.clear();
  }
}
