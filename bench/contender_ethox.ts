/**
 * Our contender: `contender_ethox.ts TAP CIDR`.
 *
 * @module
 */

import { Loop } from "../drivers/loop.ts";
import { TapDevice } from "../drivers/tap.ts";
import { Cidr } from "../stack/ip/address.ts";
import { Stack } from "../stack/stack.ts";
import { startCallbackServices } from "./services_callbacks.ts";

const [name = "", cidr = ""] = Deno.args;
const words = new Uint32Array(1);
const device = TapDevice.open({ name });
const stack = new Stack({
  random: () => crypto.getRandomValues(words)[0] ?? 0,
  report: (error, where) => console.error(where, error),
});
const loop = new Loop(stack);
loop.add(device, stack.addInterface(device, { addresses: [Cidr.parse(cidr)] }));
startCallbackServices(stack);
console.log("ready");
