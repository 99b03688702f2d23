/**
 * Our router between two TAP devices, each in a namespace of its own, or a wire between them that does nothing but read and
 * write: `contender_router.ts NAMESPACE TAP NAMESPACE TAP [CIDR CIDR] [--plain] [--direct] [--bare]`.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { libc } from "../drivers/ffi/libc.ts";
import { pointerTo } from "../drivers/ffi/memory.ts";
import { openTunIn, setOffload, TUN_F_CSUM, TUN_F_TSO4, TUN_F_TSO6 } from "../drivers/ffi/tun.ts";
import { TapDevice } from "../drivers/tap.ts";
import { Network } from "../net/network.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    plain: { type: "boolean", default: false },
    direct: { type: "boolean", default: false },
    bare: { type: "boolean", default: false },
  },
});
const [leftSpace = "", left = "", rightSpace = "", right = "", leftAddress = "", rightAddress = ""] =
  positionals;

/** Milliseconds that the wire stays awake after a frame. */
const AWAKE = 20;

/** One read and one write a frame, in one buffer; 64 at a time, then the other direction. */
function wire(): void {
  const calls = libc();
  const tuns = [openTunIn(leftSpace, left, "tap"), openTunIn(rightSpace, right, "tap")] as const;
  for (const tun of tuns) setOffload(tun, values.plain ? 0 : TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6);
  const bytes = new Uint8Array(new ArrayBuffer(1 << 17));
  const pointer = pointerTo(bytes);
  const carry = (from: number, to: number): boolean => {
    for (let i = 0; i < 64; i++) {
      const length = calls.read(from, pointer, bytes.length);
      if (length < 0) return i > 0;
      calls.write(to, pointer, length);
    }
    return true;
  };
  let awakeUntil = 0;
  const turn = (): void => {
    const there = carry(tuns[0].fd, tuns[1].fd), back = carry(tuns[1].fd, tuns[0].fd);
    const now = performance.now();
    if (there || back) awakeUntil = now + AWAKE;
    // Nothing wakes it: it looks again and again, seldom while nothing comes.
    if (now < awakeUntil) setImmediate(turn);
    else setTimeout(turn, 5);
  };
  turn();
}

if (values.bare) {
  wire();
} else {
  const open = (namespace: string, name: string) =>
    TapDevice.open({
      namespace,
      name,
      offloads: values.plain ? "none" : "all",
      ...values.direct && { delivery: "direct" },
    });
  const network = await Network.open({
    device: open(leftSpace, left),
    addresses: [leftAddress],
    forwarding: true,
  });
  network.addInterface({
    device: open(rightSpace, right),
    addresses: [rightAddress],
    forwarding: true,
  });
  network.interface.forwarding = true;
}
console.log("ready");
