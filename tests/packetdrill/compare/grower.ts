/**
 * Scripts in which a window grows: much data, many round trips, few losses.
 *
 * @module
 */

import { Peer } from "./peer.ts";
import { recordOurs, sentIn } from "./record.ts";
import { type Random, randomOpening } from "./script.ts";

/** Makes one. */
export function makeGrower(random: Random): string {
  const opening = randomOpening(random);
  opening.mss = 1000;
  opening.window = 2048;
  const peer = new Peer(random, opening);
  const { script } = peer;
  if (random.chance(50)) script.add(script.at, 'setsockopt(4, SOL_TCP, TCP_CONGESTION, "reno", 4) = 0');
  script.add(script.at, "setsockopt(4, SOL_SOCKET, SO_SNDBUF, [1000000], 4) = 0");
  const size = opening.mss - (opening.stamps ? 12 : 0);
  const every = random.of([1, 2, 2, 4]);
  const lossAt = random.between(5, 40);
  let lost = false;
  let writes = 0;
  for (let round = 0; round < random.between(4, 9); round++) {
    if (writes === 0 || random.chance(40)) {
      const length = random.between(20, 80) * size;
      script.add(peer.soon(1), `send(4, ..., ${length}, MSG_DONTWAIT) = ${length}`);
      writes++;
    }
    const sent = sentIn(recordOurs(script.text).recording).filter((s) => s.at <= script.at && s.length > 0);
    const highest = Math.max(1, ...sent.map((s) => s.end));
    if (highest <= peer.acked) continue;
    script.add(script.at + opening.rtt, "recv(4, ..., 10, MSG_DONTWAIT) = 0");
    if (!lost && highest > lossAt * size && opening.sack) {
      lost = true;
      const hole = peer.acked + size;
      for (let right = hole + size; right < highest; right += size) {
        const edge = Math.min(right + size, highest);
        const options = peer.options(script.at, 0, `nop,nop,sack ${hole}:${edge}`);
        peer.segment(script.at, ".", 1, 0, peer.acked, { options });
      }
      peer.ask(100);
      script.add(script.at + opening.rtt, "recv(4, ..., 10, MSG_DONTWAIT) = 0");
      peer.acknowledge(script.at);
      peer.ask(100);
      continue;
    }
    while (peer.acked < highest) {
      peer.acked = Math.min(highest, peer.acked + every * size);
      peer.segment(script.at, ".", 1, 0, peer.acked);
    }
    peer.ask(100);
  }
  peer.ask(100);
  return script.text;
}
