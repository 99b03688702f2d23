/**
 * Scripts of connections that stay silent: keep-alive probes, user time-outs, windows that stay shut.
 *
 * @module
 */

import { Peer } from "./peer.ts";
import { type Random, randomOpening } from "./script.ts";

/** Makes one. */
export function makeKeeper(random: Random): string {
  const peer = new Peer(random, randomOpening(random));
  const { script } = peer;
  const set = (level: string, option: string, value: number) =>
    script.add(script.at, `setsockopt(4, ${level}, ${option}, [${value}], 4) = 0`);
  if (random.chance(70)) {
    set("SOL_TCP", "TCP_KEEPIDLE", random.of([1, 1, 2]));
    set("SOL_TCP", "TCP_KEEPINTVL", 1);
    set("SOL_TCP", "TCP_KEEPCNT", random.of([1, 2, 4]));
    set("SOL_SOCKET", "SO_KEEPALIVE", 1);
  }
  if (random.chance(60)) set("SOL_TCP", "TCP_USER_TIMEOUT", random.of([500, 1500, 3000]));
  const steps = random.between(3, 8);
  for (let i = 0; i < steps; i++) {
    const at = peer.soon(1, 20, 200, 400, 1500, 2500);
    const kind = random.below(100);
    if (kind < 35) {
      const size = random.between(1, 2000);
      script.add(at, `send(4, ..., ${size}, MSG_DONTWAIT|MSG_NOSIGNAL) = ${size}`);
    } else if (kind < 65) {
      peer.acked = Math.max(peer.acked, peer.highest(at));
      const window = random.of([peer.opening.window, peer.opening.window, 0]);
      peer.segment(at, ".", peer.next, 0, peer.acked, { window });
    } else if (kind < 80) peer.data(at, random.of([1, 500]), false);
    else if (kind < 90) {
      // A keep-alive probe of the peer's.
      peer.segment(at, ".", Math.max(1, peer.next - 1), 0, peer.acked);
    } else script.add(at, "recv(4, ..., 5000, MSG_DONTWAIT) = 0");
    peer.ask(50);
  }
  peer.ask(100);
  return script.text;
}
