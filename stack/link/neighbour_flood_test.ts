import assert from "node:assert/strict";
import { Cidr, IpAddress } from "../ip/address.ts";
import { arpFrame, ipv4Frame } from "../testing/frames.ts";
import { bytesOf, icmpv6Frame, linkOption, udpFrameV6 } from "../testing/frames_v6.ts";
import { Router } from "../testing/router.ts";
import { NeighbourState } from "./neighbour_state.ts";

const PROTOCOL = 253;

/** One IP version as the floods below need it. */
interface Version {
  name: string;
  /** The address with a number on the right link: 1 is ours. */
  address(number: number): string;
  /** A packet from the left to an address on the right. */
  packet(to: string): Uint8Array;
  /** What a host on the right says when it is asked for, or asks for us. */
  answer(address: string, mac: number): Uint8Array;
  ask(address: string, mac: number): Uint8Array;
  ethertype: number;
}

const V4: Version = {
  name: "IPv4",
  address: (number) => `10.1.${number >> 8}.${number & 255}`,
  packet: (to) => ipv4Frame(PROTOCOL, [1, 2, 3], { source: "10.0.0.2", destination: to, from: 10 }),
  answer: (address, mac) => arpFrame(2, mac, address, 2, "10.1.0.1", [2, 0, 0, 0, 0, 2]),
  ask: (address, mac) => arpFrame(1, mac, address, 0, "10.1.0.1"),
  ethertype: 0x0800,
};

const V6: Version = {
  name: "IPv6",
  address: (number) => `fd01::${number.toString(16)}`,
  packet: (to) => udpFrameV6(1, 2, [1, 2, 3], { source: "fd00::2", destination: to, from: 10 }),
  answer: (address, mac) =>
    icmpv6Frame(136, 0, [0x60, 0, 0, 0, ...bytesOf(address), ...linkOption(2, mac)], {
      source: address,
      from: mac,
      destination: "fd01::1",
      to: [2, 0, 0, 0, 0, 2],
      hopLimit: 255,
    }),
  ask: (address, mac) =>
    icmpv6Frame(135, 0, [0, 0, 0, 0, ...bytesOf("fd01::1"), ...linkOption(1, mac)], {
      source: address,
      from: mac,
      destination: "ff02::1:ff00:1",
      hopLimit: 255,
    }),
  ethertype: 0x86dd,
};

/** A router whose right link is 10.1.0.0/16 and fd01::/64. */
function router(limits = {}): Router {
  const made = new Router({}, { limits });
  made.right.addAddress(Cidr.parse("10.1.0.1/16"));
  made.stack.poll(2_000_000);
  made.rightDevice.take();
  return made;
}

for (const version of [V4, V6]) {
  const good = version.address(5), late = version.address(6);
  const neighbours = (made: Router) => (version === V4 ? made.right.arp : made.right.nd!).neighbours;
  /** Has a packet come in on the left. @returns Ethertypes and last bytes of the link addresses of what left on the right. */
  const send = (made: Router, to: string) => {
    made.leftDevice.deliver(made.left, version.packet(to));
    made.leftDevice.take();
    return made.rightDevice.take().map(({ bytes }) => ({
      carries: bytes[12]! << 8 | bytes[13]!,
      to: bytes[5]!,
      question: bytes[12] === 0x08 && bytes[13] === 0x06 || (bytes[20] === 58 && bytes[54] === 135),
    }));
  };
  const answer = (made: Router, address: string, mac: number) => {
    made.rightDevice.deliver(made.right, version.answer(address, mac));
    return made.rightDevice.take();
  };

  Deno.test(`A scan of a whole ${version.name} network through a router costs neighbours that are there nothing`, () => {
    const made = router({ neighbours: 64 });
    send(made, good);
    answer(made, good, 50);
    assert.equal(neighbours(made).find(IpAddress.parse(good))?.state, NeighbourState.Reachable);
    for (let i = 0; i < 20_000; i++) {
      send(made, version.address(1000 + i));
      made.stack.poll(made.stack.now + 10);
      if (i % 1000 !== 999) continue;
      const [packet, ...more] = send(made, good);
      assert.deepEqual([packet?.to, packet?.question, more.length], [50, false, 0], `after ${i}`);
    }
    assert.ok(neighbours(made).size <= 64);
    // Somebody new is found, and gets what waited for it.
    assert.deepEqual(send(made, late).map(({ question }) => question), [true]);
    for (let i = 0; i < 20; i++) send(made, version.address(40_000 + i));
    assert.equal(answer(made, late, 60).length, 1);
    assert.deepEqual(send(made, late).map(({ to }) => to), [60]);
    for (let i = 0; i < 20; i++) made.stack.poll(made.stack.now + 1_000_000);
    assert.equal(made.leftDevice.free + made.rightDevice.free, 128);
  });

  Deno.test(`A flood of ${version.name} hosts that ask for a router costs neighbours that are there nothing`, () => {
    const made = router({ neighbours: 64 });
    send(made, good);
    answer(made, good, 50);
    for (let i = 0; i < 20_000; i++) {
      made.rightDevice.deliver(made.right, version.ask(version.address(1000 + i), i & 255));
      made.rightDevice.take();
      if (i % 1000 === 999) assert.deepEqual(send(made, good).map(({ to }) => to), [50], `after ${i}`);
    }
    assert.ok(neighbours(made).size <= 64);
    assert.deepEqual(send(made, late).map(({ question }) => question), [true]);
    assert.equal(answer(made, late, 60).length, 1);
    assert.equal(made.leftDevice.free + made.rightDevice.free, 128);
  });
}
