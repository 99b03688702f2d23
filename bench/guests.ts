/**
 * The same contenders in virtual machines, each built by our builder from the same kernel and run by the same QEMU on
 * a TAP of the peer's namespace:
 *
 * ```text
 * peer namespace: kernel sockets, wrk ── TAP ── QEMU: virtio-net ── ethox, Deno is process 1
 *                                     └─ TAP ── QEMU: virtio-net ── the guest kernel, Deno.listen, Deno.serve
 * ```
 *
 * @module
 */

import { join } from "node:path";
import { build } from "../image/build.ts";
import { DEFAULT_CONFIG, KERNEL_DEVICE } from "../image/config.ts";
import { ensureCommands } from "../scripts/system_packages.ts";
import { Namespace } from "../tests/harness/namespace.ts";
import { BenchNetwork, DEADLINE, type Target } from "./network.ts";
import { CALLBACKS } from "./services_callbacks.ts";

/** Builds both images and boots them. */
export async function createGuests(): Promise<BenchNetwork> {
  await ensureCommands(["qemu-system-x86_64", "ip", "wrk"]);
  await using stack = new AsyncDisposableStack();
  const directory = await Deno.makeTempDir({ prefix: "ethox-bench-" });
  stack.defer(() => Deno.remove(directory, { recursive: true }));
  const peer = stack.use(await Namespace.create());
  await peer.sysctl("net.ipv4.tcp_congestion_control", "reno");
  const start = async (name: string, address: string, kernelNetwork: boolean): Promise<Target> => {
    const gateway = address.replace(/\.2$/, ".1");
    await peer.tap(name, { addresses: [`${gateway}/24`] });
    const out = join(directory, name);
    await build({
      program: join(import.meta.dirname!, kernelNetwork ? "contender_kernel.ts" : "contender_ethox.ts"),
      out,
      config: {
        ...DEFAULT_CONFIG,
        ...(kernelNetwork ? { device: KERNEL_DEVICE } : {}),
        addresses: [`${address}/24`],
        gateway,
      },
      kernelNetwork,
      level: 0,
      print: () => {},
    });
    const guest = peer.deno("image/main.ts", ["run", out, "--net", `tap:${name}`], { deadline: DEADLINE });
    stack.use(guest);
    await guest.printed(/^ready/m, 90_000);
    return { address, address6: "", port: 0, process: guest };
  };
  const ours = await start("guest0", "10.70.3.2", false);
  const kernel = await start("guest1", "10.70.4.2", true);
  return new BenchNetwork(peer, {
    callbacks: { ...ours, port: CALLBACKS },
    connections: ours,
    kernel,
  }, stack.move());
}
