/**
 * `counting_host.ts TAP CIDR…`: a host with echo on UDP and TCP port 7, on the callbacks of the stack. It prints its
 * counters as one line of JSON for each line of its standard input.
 *
 * @module
 */

import { Loop } from "../../drivers/loop.ts";
import { TapDevice } from "../../drivers/tap.ts";
import { Cidr } from "../../stack/ip/address.ts";
import { Stack } from "../../stack/stack.ts";
import { TextLineStream } from "../harness/lines.ts";

const [name = "", ...cidrs] = Deno.args;
const words = new Uint32Array(1);
const device = TapDevice.open({ name });
const stack = new Stack({
  random: () => crypto.getRandomValues(words)[0] ?? 0,
  report: (error, where) => console.error(where, error),
});
const face = stack.addInterface(device, { addresses: cidrs.map((cidr) => Cidr.parse(cidr)) });
stack.udp.bind({ port: 7 }, { receive: (packet, socket) => void socket.answer(packet, packet.length) });
stack.tcp.listen({ port: 7 }, {
  ready(listener) {
    const connection = listener.take();
    if (connection === null) return;
    connection.handler = {
      connected() {},
      receive: (self, bytes, offset, length) => self.write(bytes, offset, length),
      writable: (self) => self.resume(),
      finished: (self) => self.close(),
      closed() {},
    };
  },
});
using loop = new Loop(stack);
loop.add(device, face);
const nd = face.nd!;
console.log("listening");

for await (
  const _ of Deno.stdin.readable.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream())
) {
  console.log(
    "counters " + JSON.stringify({
      device: device.counters,
      link: face.counters,
      arp: face.arp.counters,
      ipv4: stack.ipv4.counters,
      icmp: stack.icmp.counters,
      udp: stack.udp.counters,
      tcp: stack.tcp.counters,
      v6: {
        ipv6: stack.ipv6.counters,
        icmp: stack.icmpv6.counters,
        nd: nd.counters,
        fragments: stack.reassembler.counters,
      },
      sizes: {
        neighbours: nd.neighbours.size,
        arp: face.arp.neighbours.size,
        routers: nd.routers.routers.length,
        prefixes: nd.routers.prefixes.length,
        nameServers: nd.routers.nameServers.length,
        addresses: face.addresses.length,
        routes: stack.routes.routes.length,
        reassemblies: stack.reassembler.size,
      },
      handlerErrors: stack.handlerErrors,
    }),
  );
}
