/**
 * Scripts of what should not come: segments outside of the window, ACKs of what was never sent, resets and SYNs with wrong
 * numbers, timestamps that go back or are missing.
 *
 * @module
 */

import { Peer } from "./peer.ts";
import { type Random, randomOpening } from "./script.ts";

/** Makes one. */
export function makeStranger(random: Random): string {
  const opening = randomOpening(random);
  if (random.chance(50)) opening.stamps = true;
  const peer = new Peer(random, opening);
  const { script } = peer;
  const steps = random.between(6, 25);
  for (let i = 0; i < steps; i++) {
    const at = peer.soon(0, 1, 5, 20, 100, 300, 600);
    const kind = random.below(100);
    const length = random.of([0, 1, 500, 1000]);
    if (kind < 10) {
      const size = random.between(1, 3000);
      script.add(at, `send(4, ..., ${size}, MSG_DONTWAIT|MSG_NOSIGNAL) = ${size}`);
    } else if (kind < 25) peer.acknowledge(at);
    else if (kind < 38) peer.data(at, random.of([1, 500, 1000]), false);
    else if (kind < 50) {
      const off = random.of([-2000, -1000, -1, 1, 60_000, 70_000, 1_000_000]);
      peer.segment(at, ".", Math.max(1, peer.next + off), length, peer.acked);
    } else if (kind < 58) {
      const off = random.of([1, 1000, 100_000]);
      peer.segment(at, ".", peer.next, length, peer.highest(at) + off);
    } else if (kind < 66) {
      const shift = random.of([-1, -2, -10, -500, 100]);
      peer.segment(at, ".", peer.next, length, peer.acked, { options: peer.options(at, shift) });
      if (shift >= -1 || !opening.stamps) peer.next += length;
    } else if (kind < 72) {
      peer.segment(at, ".", peer.next, length, peer.acked, { options: "" });
      if (length > 0) peer.next += length;
    } else if (kind < 80) {
      const off = random.of([1, -1, 100, 60_000, 1_000_000]);
      const ack = random.chance(50) ? peer.acked : null;
      peer.segment(at, ack === null ? "R" : "R.", Math.max(0, peer.next + off), 0, ack, { options: "" });
    } else if (kind < 88) {
      const flags = random.of(["S", "S.", "SF"]);
      peer.segment(
        at,
        flags,
        random.of([0, peer.next, peer.next + 1000, peer.next + 1_000_000]),
        0,
        flags === "S." ? peer.acked : null,
        { options: random.chance(50) ? " <mss 1000>" : peer.options(at) },
      );
    } else if (kind < 92) {
      // Without ACK, nothing is taken.
      script.add(at, `< P ${peer.next}:${peer.next + 10}(10) win ${opening.window}${peer.options(at)}`);
    } else {
      script.add(at, `recv(4, ..., ${random.of([100, 5000])}, MSG_DONTWAIT) = 0`);
    }
    peer.ask(40);
  }
  script.add(peer.soon(100), "recv(4, ..., 5000, MSG_DONTWAIT) = 0");
  peer.ask(100);
  return script.text;
}
