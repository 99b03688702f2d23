/**
 * The link of `bench/loss.ts`, in the peer's namespace: `loss_link.ts ethox LINK CIDR CONGESTION` ends it in our
 * stack, `loss_link.ts kernel LINK NAMESPACE` in the kernel's TAP of another namespace, and `loss_link.ts shared LINK
 * NAMESPACE CIDR CONGESTION` in a switch with both of them.
 *
 * @module
 */

import { ImpairDevice, type ImpairOptions } from "../drivers/impair.ts";
import { MemoryHub } from "../drivers/memory.ts";
import { TapDevice } from "../drivers/tap.ts";
import { joinDevices } from "../drivers/wire.ts";
import { Network } from "../net/network.ts";
import type { Device } from "../stack/device.ts";
import type { CongestionName } from "../stack/tcp/settings.ts";
import { startCallbackServices } from "./services_callbacks.ts";

/** How the link kept its own time. */
export interface LinkReport {
  /** µs by which a frame was late, on average. */
  lateness: number;
  /** µs, at most. */
  latest: number;
  /** Frames lost since more were on their way than the link was made for. */
  slotsFull: number;
}

const [who, link = "{}", ...far] = Deno.args;
const options = JSON.parse(link) as ImpairOptions;
const device = new ImpairDevice(TapDevice.open({ name: "tap0", offloads: "none", delivery: "direct" }), {
  slots: 16384,
  // The loop's; without it a long turn would shorten the round trip that is told.
  clock: () => performance.now() * 1000,
  ...options,
});
const kernel = (namespace: string) =>
  TapDevice.open({ name: "tap1", namespace, offloads: "none", delivery: "direct" });

async function host(end: Device, address: string, congestion: string): Promise<void> {
  const network = await Network.open({ device: end, addresses: [address] });
  network.stack.tcp.settings.congestion = congestion as CongestionName;
  startCallbackServices(network.stack);
}

switch (who) {
  case "ethox":
    await host(device, far[0]!, far[1]!);
    break;
  case "kernel":
    joinDevices(device, kernel(far[0]!));
    break;
  case "shared": {
    const hub = new MemoryHub({ ports: 3, learn: true, queue: 16384 });
    joinDevices(device, hub.port(0));
    joinDevices(hub.port(1), kernel(far[0]!));
    await host(hub.port(2), far[1]!, far[2]!);
    break;
  }
  default:
    throw new TypeError(`No link ends in "${who}"; there are ethox, kernel and shared`);
}
/** What the bench reads when it ends the link. */
function report(): LinkReport {
  const ways = [device.send.counters, device.receive.counters];
  const frames = ways.reduce((sum, { passed }) => sum + passed, 0);
  return {
    lateness: frames === 0 ? 0 : ways.reduce((sum, { lateness }) => sum + lateness, 0) / frames,
    latest: Math.max(...ways.map(({ latest }) => latest)),
    slotsFull: ways.reduce((sum, { slotsFull }) => sum + slotsFull, 0),
  };
}

Deno.addSignalListener("SIGTERM", () => {
  console.log(JSON.stringify(report()));
  Deno.exit(0);
});
console.log("ready");
