/**
 * `multicast_host.ts TAP CIDR GROUP4 GROUP6`: a host that joins both groups on port 7777, prints what comes, sends it back to
 * the group, and leaves both when told so.
 *
 * @module
 */

import { Network } from "../../net/mod.ts";

const [tap = "", address = "", group4 = "", group6 = ""] = Deno.args;
await using network = await Network.open({ device: `tap:${tap}`, addresses: [address] });
using conn = network.listenDatagram({ port: 7777, loopback: false });
const memberships = [await conn.joinMulticastV4(group4), await conn.joinMulticastV6(group6)];
console.log("listening");
for await (const [data, from, info] of conn) {
  const text = new TextDecoder().decode(data);
  if (text === "leave") break;
  console.log(`${text} to ${info.localAddress}`);
  await conn.send(new TextEncoder().encode(`${text} back`), { hostname: info.localAddress, port: from.port });
}
for (const one of memberships) await one.leave();
console.log("left");
// What is told of the end is told twice, the second time within a second.
await new Promise((resolve) => setTimeout(resolve, 1500));
