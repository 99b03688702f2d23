/**
 * The link of `bench/loss.ts`, in the peer's namespace: `loss_link.ts ethox LINK CIDR CONGESTION` ends it in our
 * stack, `loss_link.ts kernel LINK NAMESPACE` in the kernel's TAP of another namespace.
 *
 * @module
 */

import { ImpairDevice, type ImpairOptions } from "../drivers/impair.ts";
import { TapDevice } from "../drivers/tap.ts";
import { joinDevices } from "../drivers/wire.ts";
import { Network } from "../net/network.ts";
import type { CongestionName } from "../stack/tcp/settings.ts";
import { startCallbackServices } from "./services_callbacks.ts";

const [who, link = "{}", far = "", congestion = "cubic"] = Deno.args;
const options = JSON.parse(link) as ImpairOptions;
const device = new ImpairDevice(TapDevice.open({ name: "tap0", offloads: "none" }), {
  slots: 16384,
  ...options,
});
if (who === "ethox") {
  const network = await Network.open({ device, addresses: [far] });
  network.stack.tcp.settings.congestion = congestion as CongestionName;
  startCallbackServices(network.stack);
} else {
  joinDevices(device, TapDevice.open({ name: "tap1", namespace: far, offloads: "none" }));
}
console.log("ready");
