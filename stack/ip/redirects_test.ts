import assert from "node:assert/strict";
import { icmpFrame, udpFrame } from "../testing/frames.ts";
import { bytesOf, icmpv6Frame, linkOption } from "../testing/frames_v6.ts";
import { Host } from "../testing/pair.ts";
import { Cidr, IpAddress } from "./address.ts";

const FAR = IpAddress.parse("192.0.2.1"), FAR6 = IpAddress.parse("2001:db8::1");

function host() {
  const made = new Host(1, "10.0.0.1/24", {}, {}, { duplicates: "off", routers: false });
  made.interface.addAddress(Cidr.parse("fd00::1/64"));
  for (const [destination, gateway] of [["0.0.0.0/0", "10.0.0.254"], ["::/0", "fe80::254"]] as const) {
    made.stack.addRoute({
      destination: Cidr.parse(destination),
      gateway: IpAddress.parse(gateway),
      interface: made.interface,
    });
  }
  made.stack.poll(0);
  made.device.take();
  return made;
}

function way(made: Host, to: IpAddress): string {
  return String(made.stack.routes.lookup(to, null)?.gateway ?? "on the link");
}

function redirectV4(made: Host, source = "10.0.0.254", hop = "10.0.0.253", ours = "10.0.0.1") {
  const quote = udpFrame(1, 2, [1], { source: ours, destination: String(FAR) }).subarray(14);
  const frame = icmpFrame(5, 1, IpAddress.parse(hop).d, quote, { source, from: 9 });
  made.device.deliver(made.interface, frame);
}

Deno.test("Icmpv4 follows a redirect only where it is asked to, of the router in use, to a neighbour", () => {
  const made = host();
  redirectV4(made);
  assert.equal(way(made, FAR), "10.0.0.254");
  assert.equal(made.stack.icmp.counters.dropped.unknownType, 1);
  made.interface.acceptRedirects = true;
  redirectV4(made, "10.0.0.77");
  redirectV4(made, "10.0.0.254", "192.0.2.99");
  redirectV4(made, "10.0.0.254", "10.0.0.255");
  redirectV4(made, "10.0.0.254", "10.0.0.1");
  redirectV4(made, "10.0.0.254", "10.0.0.253", "10.0.0.66");
  assert.equal(made.stack.icmp.counters.dropped.badQuote, 5);
  assert.equal(way(made, FAR), "10.0.0.254");
  const path = made.stack.path(FAR)!;
  redirectV4(made);
  assert.equal(way(made, FAR), "10.0.0.253");
  path.reserve()?.discard();
  assert.equal(String((path as unknown as { hop: IpAddress }).hop), "10.0.0.253");
  assert.equal(way(made, IpAddress.parse("192.0.2.2")), "10.0.0.254");
  // The better router turns out to be silent.
  const packet = path.reserve()!;
  packet.end = packet.offset + 8;
  path.send(packet, 200, 0, 0);
  for (let now = 1_000_000; now < 20_000_000; now += 500_000) made.stack.poll(now);
  assert.equal(way(made, FAR), "10.0.0.254");
});

function redirectV6(made: Host, source: string, target: string, hopLimit = 255, destination = String(FAR6)) {
  const body = [0, 0, 0, 0, ...bytesOf(target), ...bytesOf(destination), ...linkOption(2, 77)];
  made.device.deliver(made.interface, icmpv6Frame(137, 0, body, { source, hopLimit }));
}

Deno.test("NeighbourDiscovery follows redirects of the router in use, to routers and neighbours", () => {
  const made = host();
  const { dropped } = made.interface.nd!.counters;
  redirectV6(made, "fe80::254", "fe80::253", 64);
  assert.equal(dropped.badHopLimit, 1);
  redirectV6(made, "fe80::99", "fe80::253");
  redirectV6(made, "fd00::254", "fe80::253");
  redirectV6(made, "fe80::254", "fd00::253");
  redirectV6(made, "fe80::254", "fe80::253", 255, "ff0e::1");
  assert.equal(dropped.badAddress, 4);
  assert.equal(way(made, FAR6), "fe80::254");
  redirectV6(made, "fe80::254", "fe80::253");
  assert.equal(way(made, FAR6), "fe80::253");
  const neighbour = made.interface.nd!.neighbours.find(IpAddress.parse("fe80::253"))!;
  assert.equal(neighbour.macLow, 77);
  // The router that is in use now may say that the destination itself is on the link.
  redirectV6(made, "fe80::253", String(FAR6));
  assert.equal(way(made, FAR6), "on the link");
  made.interface.forwarding = true;
  redirectV6(made, "fe80::254", "fe80::253", 255, "2001:db8::2");
  assert.equal(dropped.ignored, 1);
});

Deno.test("Redirects are bounded, and go with a router that is silent and with the interface", () => {
  const made = host();
  for (let i = 1; i <= 200; i++) {
    redirectV6(made, "fe80::254", "fe80::253", 255, `2001:db8::${i.toString(16)}`);
  }
  assert.equal(made.interface.nd!.redirects.taken.size, 64);
  assert.equal(way(made, FAR6), "fe80::254", "the oldest has gone");
  const last = IpAddress.parse("2001:db8::c8");
  assert.equal(way(made, last), "fe80::253");
  const before = made.stack.routes.size;
  const path = made.stack.path(last)!;
  const packet = path.reserve()!;
  packet.end = packet.offset + 8;
  path.send(packet, 200, 0, 0);
  for (let now = 1_000_000; now < 40_000_000; now += 500_000) made.stack.poll(now);
  assert.equal(made.stack.routes.size, before - 64);
  assert.equal(way(made, last), "fe80::254");
  redirectV6(made, "fe80::254", "fe80::253");
  made.stack.removeInterface(made.interface);
  assert.equal(made.stack.routes.size, 0);
});
