/**
 * `asking_host.ts TAP CIDR ADDRESS PORT`: a host that connects, asking for ECN, sends 100,000 bytes and says `sent`; it ends
 * when its standard input does.
 *
 * @module
 */

import { Network } from "../../mod.ts";

const [device = "", address = "", hostname = "", port = ""] = Deno.args;

await using network = await Network.open({ device: `tap:${device}`, addresses: [address] });
network.stack.tcp.settings.ecn = 1;
using conn = await network.connect({ hostname, port: Number(port) });
const bytes = new Uint8Array(100_000);
for (let at = 0; at < bytes.length;) at += await conn.write(bytes.subarray(at));
console.log("sent");
await Deno.stdin.readable.pipeTo(new WritableStream());
