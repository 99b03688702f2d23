/**
 * Scripts of congestion marks (RFC 3168): on data that we receive, and echoed to us.
 *
 * @module
 */

import { Peer } from "./peer.ts";
import { type Random, randomOpening } from "./script.ts";

/** Makes one. */
export function makeMarker(random: Random): string {
  const opening = randomOpening(random);
  opening.ecn = true;
  opening.sysctls.push("net.ipv4.tcp_ecn=1");
  const peer = new Peer(random, opening);
  const { script } = peer;
  const steps = random.between(6, 25);
  let echoing = false;
  for (let i = 0; i < steps; i++) {
    const at = peer.soon(0, 1, 5, 20, 100, 200);
    const kind = random.below(100);
    if (kind < 25) {
      const size = random.between(1, 12) * opening.mss;
      script.add(at, `send(4, ..., ${size}, MSG_DONTWAIT) = ${size}`);
    } else if (kind < 65) {
      if (random.chance(25)) echoing = !echoing;
      const highest = peer.highest(at);
      const mss = opening.mss - (opening.stamps ? 12 : 0);
      const some = Math.min(highest, peer.acked + random.between(1, 4) * mss);
      peer.acked = random.chance(50) ? highest : some;
      peer.segment(at, echoing ? "E." : ".", peer.next, 0, peer.acked);
    } else if (kind < 92) {
      const ecn = random.of(["[ect0] ", "[ect0] ", "[ce] ", "[noecn] "]);
      const cwr = random.chance(20) ? "W" : "";
      const length = random.of([1, 500, 1000]);
      peer.segment(at, `${cwr}.`, peer.next, length, peer.acked, { ecn });
      peer.next += length;
    } else script.add(at, `recv(4, ..., ${random.of([100, 5000])}, MSG_DONTWAIT) = 0`);
    peer.ask(40);
  }
  peer.ask(100);
  return script.text;
}
