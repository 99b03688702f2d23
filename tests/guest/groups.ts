/** Runs in a guest: joins a group, pings the gateway of QEMU's user network, and stays until it is switched off. */

import { Network } from "../../net/mod.ts";
import { IpAddress } from "../../stack/ip/address.ts";

const network = await Network.open({ device: "virtio:auto", addresses: ["10.0.2.15/24"] });
network.stack.groups.join(IpAddress.parse("239.1.2.3"), network.interface);
for (let attempt = 0; attempt < 20; attempt++) {
  const [result] = await Array.fromAsync(network.ping("10.0.2.2", { count: 1, timeout: 2000 }));
  if (result!.rtt === null) continue;
  console.log("answered");
  break;
}
console.log("joined");
