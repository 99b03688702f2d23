/**
 * Scripts of endings: half-closed connections, both sides at once, with data unread or still to come, resets, lingering,
 * and what arrives for a connection that is over.
 *
 * @module
 */

import { Peer } from "./peer.ts";
import { type Random, randomOpening } from "./script.ts";

/** Makes one. */
export function makeCloser(random: Random): string {
  const peer = new Peer(random, randomOpening(random));
  const { script } = peer;
  let shut = false;
  const end = () => {
    peer.closed = true;
    return "close(4) = 0";
  };
  if (random.chance(15)) {
    const seconds = random.of([0, 0, 1]);
    script.add(script.at, `setsockopt(4, SOL_SOCKET, SO_LINGER, {onoff=1, linger=${seconds}}, 8) = 0`);
  }
  if (random.chance(10)) script.add(script.at, "setsockopt(4, SOL_TCP, TCP_LINGER2, [1], 4) = 0");
  const steps = random.between(5, 18);
  for (let i = 0; i < steps; i++) {
    const at = peer.soon(0, 1, 5, 20, 60, 100, 300, 700);
    const kind = random.below(100);
    if (kind < 12 && !peer.closed && !shut) {
      const size = random.between(1, 3000);
      script.add(at, `send(4, ..., ${size}, MSG_DONTWAIT|MSG_NOSIGNAL) = ${size}`);
    } else if (kind < 20 && !peer.closed) {
      const how = random.of(["SHUT_WR", "SHUT_WR", "SHUT_RD", "SHUT_RDWR"]);
      if (how !== "SHUT_RD") shut = true;
      script.add(at, `shutdown(4, ${how}) = 0`);
    } else if (kind < 35 && !peer.closed) {
      // One that lingers waits.
      script.add(at, end());
    } else if (kind < 42 && !peer.closed) {
      script.add(at, `recv(4, ..., ${random.of([100, 5000])}, MSG_DONTWAIT) = 0`);
    } else if (kind < 65) peer.acknowledge(at);
    else if (kind < 78) peer.data(at, random.of([0, 1, 500, 1000]), !peer.finished && random.chance(50));
    else if (kind < 84) {
      // The FIN or the data before it again.
      peer.segment(at, peer.finished ? "F." : ".", Math.max(1, peer.next - 1), 0, peer.acked);
    } else if (kind < 89) {
      // An orphan believes any reset in its window there, and none but the exact one here (RFC 5961, section 3.2).
      const off = peer.closed ? 0 : random.of([0, 0, 1, -1, 100_000]);
      const ack = random.chance(70) ? peer.acked : null;
      peer.segment(at, ack === null ? "R" : "R.", Math.max(0, peer.next + off), 0, ack, { options: "" });
    } else if (kind < 94 && (!peer.closed || peer.finished)) {
      peer.segment(at, "S", random.of([0, peer.next, peer.next + 100_000]), 0, null, {
        options: ` <mss ${peer.opening.mss}>`,
      });
    } else if (!peer.closed) peer.segment(at, ".", peer.next, 0, peer.highest(at) + random.of([1, 1000]));
    peer.ask(25);
  }
  peer.ask(100);
  if (!peer.closed) script.add(peer.soon(20), end());
  return script.text;
}
