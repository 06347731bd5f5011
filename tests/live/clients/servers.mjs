// The servers that are asked: ours, and one that is known for long, which shows that the cases judge
// more than our own habits.

import { RABBITMQ } from "./rabbitmq.mjs";
import { STOMPBOX } from "./stompbox.mjs";

/**
 * Each has a `name`, `start`, and `differences`: what it is known to do otherwise. Started it has
 * `addresses` (`ws`, `tcp`) and `credentials` of one that is `open` to them, `addresses` and how the
 * `refusal` reads of one that is `guarded`, and `stop`.
 */
export const SERVERS = [STOMPBOX, RABBITMQ];
