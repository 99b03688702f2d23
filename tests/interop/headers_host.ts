/**
 * `headers_host.ts TAP CIDR,CIDR PEER4 PEER6`: a host that sends a datagram with options of IPv4, or extension headers of IPv6, to
 * port 7777 of each peer until it hears "got it", asks for an echo with a record of its way, and prints that.
 *
 * @module
 */

import { Network } from "../../net/mod.ts";
import { PacketHeaders } from "../../stack/ip/packet_headers.ts";

const [tap = "", addresses = "", ...peers] = Deno.args;
await using network = await Network.open({ device: `tap:${tap}`, addresses: addresses.split(",") });
const headers = new PacketHeaders({
  ipv4Options: [7, 15, 4, ...new Array(12).fill(0)],
  hopByHop: [5, 2, 0, 0],
  destinationOptions: [0x1e, 2, 1, 2],
});
for (const hostname of peers) {
  using conn = network.listenDatagram({ port: 0, headers });
  const answer = conn.receive();
  // An address is sure after a second.
  const again = setInterval(() => {
    conn.send(new TextEncoder().encode("with headers\n"), { hostname, port: 7777 }).catch(() => {});
  }, 100);
  const [data] = await answer;
  clearInterval(again);
  console.log(`${hostname}: ${new TextDecoder().decode(data).trim()}`);
}
const version = 4, protocol = 1;
using raw = network.listenRaw({ protocol, version, headerIncluded: true });
using sender = network.listenRaw({ protocol, version, headers });
await sender.send(Uint8Array.of(8, 0, 0xf7, 0xff, 0, 0, 0, 0), peers[0]!);
const [packet] = await raw.receive();
console.log(`way: ${packet.subarray(20, (packet[0]! & 15) * 4).join(" ")}`);
