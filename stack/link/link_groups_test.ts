import assert from "node:assert/strict";
import { Cidr, IpAddress } from "../ip/address.ts";
import { icmpFrame, ipv4Frame } from "../testing/frames.ts";
import { udpFrameV6 } from "../testing/frames_v6.ts";
import { Host, xorshift } from "../testing/pair.ts";
import { Stack } from "../stack.ts";
import { TestDevice } from "../testing/test_device.ts";
import type { Packet } from "../packet.ts";

const GROUP = IpAddress.parse("239.1.2.3");
/** Its link address, which 31 others share. */
const LINK = [1, 0, 0x5e, 1, 2, 3];

/** A device with a filter, which notes what it is told. */
class Filtering extends TestDevice {
  told: string[] | null = null;

  /** How many it is told of; -1 for all frames. */
  get count(): number {
    return this.told === null ? -1 : this.told.length;
  }

  filterGroups(groups: readonly number[] | null): void {
    this.told = groups === null
      ? null
      : Array.from({ length: groups.length / 2 }, (_, i) =>
        `${groups[2 * i]!.toString(16)} ${(groups[2 * i + 1]! >>> 0).toString(16)}`).sort();
  }
}

function frameTo(destination: string, to: number[]): Uint8Array<ArrayBuffer> {
  return ipv4Frame(17, [0, 9, 0, 9, 0, 8, 0, 0], { destination, to });
}

Deno.test("Interface drops packets to groups of the link that nobody has joined, and counts them", () => {
  const host = new Host(1, "10.0.0.1/24", {}, {}, { linkLocal: false, routers: false });
  host.stack.poll(0);
  const { counters } = host.interface;
  const received: string[] = [];
  host.stack.udp.bind({ port: 9 }, { receive: (packet) => void received.push(String(packet.version)) });
  const deliver = (frame: Uint8Array) => host.device.deliver(host.interface, frame);
  deliver(frameTo("239.1.2.3", LINK));
  assert.equal(counters.dropped.otherGroup, 1);
  assert.equal(host.stack.ipv4.counters.received, 0);
  const first = host.stack.groups.join(GROUP, host.interface);
  // Another group of the same link address: two members of one filter entry.
  const second = host.stack.groups.join(IpAddress.parse("238.129.2.3"), host.interface);
  deliver(frameTo("239.1.2.3", LINK));
  assert.deepEqual(received, ["4"]);
  first.leave();
  deliver(frameTo("239.1.2.3", LINK));
  assert.equal(host.stack.ipv4.counters.dropped.notForUs, 1, "the link address is still that of a group");
  second.leave();
  deliver(frameTo("239.1.2.3", LINK));
  assert.equal(counters.dropped.otherGroup, 2);
  deliver(frameTo("224.0.0.1", [1, 0, 0x5e, 0, 0, 1]));
  assert.deepEqual(received, ["4", "4"], "all hosts");
  deliver(udpFrameV6(9, 9, [], { destination: "ff02::77" }));
  assert.equal(counters.dropped.otherGroup, 3);
  deliver(udpFrameV6(9, 9, [], { destination: "ff02::1" }));
  assert.deepEqual(received, ["4", "4", "6"]);
  assert.equal(counters.received, counters.delivered + 3);
});

Deno.test("Interface.tap() and Ipv4.tap() see packets to groups that nobody has joined", () => {
  const host = new Host(1, "10.0.0.1/24");
  const seen: string[] = [];
  const show = (name: string) => ({
    receive(packet: Packet): boolean {
      seen.push(`${name} ${packet.cast}`);
      return false;
    },
  });
  const deliver = () => {
    host.device.deliver(host.interface, frameTo("239.1.2.3", LINK));
    return seen.splice(0);
  };
  const ends = [host.interface.tap("in", show("link")), host.stack.ipv4.tap("in", show("ip"))];
  assert.deepEqual(deliver(), ["link 2", "ip 2"]);
  ends[1]!();
  ends[1]!();
  assert.deepEqual(deliver(), ["link 2"]);
  const end = host.interface.linkGroups.takeAll();
  assert.equal(host.stack.ipv4.counters.dropped.notForUs, 1);
  deliver();
  assert.equal(host.stack.ipv4.counters.dropped.notForUs, 2);
  end();
  end();
  deliver();
  assert.equal(host.stack.ipv4.counters.dropped.notForUs, 2);
});

Deno.test("Interface tells its device which groups it wants, and that it wants all while somebody looks on", () => {
  const stack = new Stack({ random: xorshift(1) });
  const device = new Filtering();
  const added = stack.addInterface(device, { ipv6: { linkLocal: false, routers: false } });
  const own = ["100 5e000001", "3333 1"];
  assert.deepEqual(device.told, own);
  const listener = stack.groups.join(GROUP, added);
  assert.deepEqual(device.told, ["100 5e000001", "100 5e010203", "3333 1"]);
  const ignore = { receive: () => false };
  const ends = [added.tap("in", ignore), stack.ipv6.tap("in", ignore), added.linkGroups.takeAll()];
  for (const end of ends) {
    assert.equal(device.count, -1);
    end();
  }
  assert.equal(device.count, 3);
  added.attach(0x88cc, { receive() {} });
  assert.equal(device.count, -1, "who knows where it listens");
  added.detach(0x88cc);
  assert.equal(device.count, 3);
  listener.leave();
  assert.deepEqual(device.told, own);
  added.tap("out", ignore);
  assert.deepEqual(device.told, own);
  stack.removeInterface(added);
  assert.equal(device.count, -1, "as it was before");
});

Deno.test("LinkGroups lets the device pass all rather than hundreds of groups, and finds them itself", () => {
  const stack = new Stack({ random: xorshift(1), limits: { groups: 1000 } });
  const device = new Filtering();
  const added = stack.addInterface(device, { ipv6: false });
  const groups = Array.from({ length: 400 }, (_, index) => IpAddress.v4(0xe1000000 + 997 * index));
  const listeners = groups.map((group) => stack.groups.join(group, added));
  assert.equal(device.count, -1);
  const has = (group: IpAddress) => added.linkGroups.has(0x100, 0x5e000000 | group.d & 0x7fffff);
  assert.ok(groups.every(has));
  assert.equal(has(IpAddress.parse("225.0.0.2")), false);
  for (const listener of listeners.slice(100)) listener.leave();
  assert.equal(device.count, 101);
  assert.deepEqual(groups.map(has), groups.map((_, index) => index < 100));
});

Deno.test("A VLAN's groups are those of the interface below it", () => {
  const stack = new Stack({ random: xorshift(1) });
  const device = new Filtering();
  const below = stack.addInterface(device, { ipv6: false, addresses: [Cidr.parse("10.0.0.1/24")] });
  const options = { ipv6: false, addresses: [Cidr.parse("10.5.0.1/24")] } as const;
  const vlan = stack.addVlan(below, { id: 5, ...options });
  const inner = stack.addVlan(vlan, { id: 6, ipv6: false });
  assert.throws(() => stack.addVlan(below, { id: 5, ipv6: false }));
  stack.groups.join(GROUP, inner);
  assert.deepEqual(device.told, ["100 5e000001", "100 5e010203"]);
  const end = inner.tap("in", { receive: () => false });
  assert.equal(device.count, -1);
  end();
  assert.deepEqual(device.told, ["100 5e000001", "100 5e010203"]);
  stack.removeInterface(vlan);
  assert.deepEqual(device.told, ["100 5e000001"]);
  // Nothing was lost on the way: it still answers.
  device.take();
  device.deliver(below, icmpFrame(8, 0, 1, [], { destination: "10.0.0.1", source: "10.0.0.2" }));
  assert.equal(device.take().length, 1);
});
