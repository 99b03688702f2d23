import assert from "node:assert/strict";
import { DEFAULT_LIMITS } from "../limits.ts";
import { IpAddress } from "../ip/address.ts";
import { AddressState } from "../ip/own_address.ts";
import { IcmpError } from "../ip/path.ts";
import { NeighbourState } from "../link/neighbour_state.ts";
import { bytesOf, describeV6, type FrameV6Options, icmpv6Frame, linkOption } from "../testing/frames_v6.ts";
import { Host, Pair } from "../testing/pair.ts";
import type { Ipv6Options } from "./options.ts";

const SECOND = 1_000_000;
const PEER = IpAddress.parse("fd00::2");
const ALONE: Ipv6Options = { linkLocal: false, routers: false, duplicates: "off" };

function host(options: Ipv6Options = ALONE, limits = {}): Host {
  const made = new Host(1, "fd00::1/64", {}, { limits }, options);
  made.stack.poll(0);
  return made;
}

function sent(made: Host): string[] {
  return made.device.take().map(({ bytes }) => describeV6(bytes)).filter((text) => !text.includes("report"));
}

/** Delivers a neighbour solicitation (135) or advertisement (136) with hop limit 255. */
function tell(
  made: Host,
  type: number,
  target: string,
  extra: number[],
  options: FrameV6Options & { flags?: number } = {},
): void {
  const body = [options.flags ?? 0, 0, 0, 0, ...bytesOf(target), ...extra];
  made.device.deliver(made.interface, icmpv6Frame(type, 0, body, { hopLimit: 255, ...options }));
}

function ping(made: Host, errors: IcmpError[] = []): boolean {
  const session = made.stack.icmp.echo({ destination: PEER }, {
    reply: () => {},
    error: (_session, _sequence, kind) => errors.push(kind),
  });
  return session.send(1, new Uint8Array(8));
}

const SOLICITED = 0x40, OVERRIDE = 0x20;

Deno.test("NeighbourDiscovery answers questions about its addresses, and takes note of who asks", () => {
  const made = host();
  made.device.take();
  tell(made, 135, "fd00::1", linkOption(1, 2), { destination: "ff02::1:ff00:1" });
  const [frame] = made.device.take();
  assert.equal(describeV6(frame!.bytes), "fd00::1 > fd00::2 is at fd00::1");
  assert.equal(frame!.bytes[58], SOLICITED | OVERRIDE);
  assert.deepEqual([...frame!.bytes.subarray(78)], linkOption(2, 1));
  assert.deepEqual([...frame!.bytes.subarray(0, 6)], [2, 0, 0, 0, 0, 2]);
  const entry = made.interface.nd!.neighbours.find(PEER)!;
  assert.deepEqual([entry.state, entry.macLow], [NeighbourState.Stale, 2]);
  // A probe is answered to everyone.
  tell(made, 135, "fd00::1", [], { source: "::", destination: "ff02::1:ff00:1" });
  assert.deepEqual(sent(made), ["fd00::1 > ff02::1 is at fd00::1"]);
});

Deno.test("NeighbourDiscovery drops and counts what breaks the rules", () => {
  const made = host();
  const { counters } = made.interface.nd!;
  const cases: [keyof typeof counters.dropped, () => void][] = [
    ["badHopLimit", () => tell(made, 135, "fd00::1", linkOption(1, 2), { hopLimit: 254 })],
    [
      "truncated",
      () =>
        made.device.deliver(made.interface, icmpv6Frame(135, 0, new Array(19).fill(0), { hopLimit: 255 })),
    ],
    ["malformed", () => tell(made, 135, "fd00::1", [1, 0, 2, 0, 0, 0, 0, 2])],
    ["malformed", () => tell(made, 135, "fd00::1", [1, 2, 2, 0, 0, 0, 0, 2])],
    ["badAddress", () => tell(made, 135, "ff02::1", linkOption(1, 2))],
    ["badAddress", () => tell(made, 135, "fd00::1", [1, 1, 3, 0, 0, 0, 0, 2])],
    [
      "badAddress",
      () => tell(made, 135, "fd00::1", linkOption(1, 2), { source: "::", destination: "ff02::1:ff00:1" }),
    ],
    [
      "badAddress",
      () => tell(made, 136, "fd00::2", linkOption(2, 2), { destination: "ff02::1", flags: SOLICITED }),
    ],
    ["notForUs", () => tell(made, 135, "fd00::7", linkOption(1, 2))],
    ["notForUs", () => tell(made, 136, "fd00::7", linkOption(2, 7), { flags: SOLICITED })],
    ["conflict", () => tell(made, 136, "fd00::1", linkOption(2, 7))],
    ["ignored", () =>
      made.device.deliver(
        made.interface,
        icmpv6Frame(134, 0, new Array(12).fill(0), {
          hopLimit: 255,
          source: "fe80::2",
          destination: "ff02::1",
        }),
      )],
  ];
  for (const [reason, deliver] of cases) {
    const before = counters.dropped[reason];
    deliver();
    assert.equal(counters.dropped[reason], before + 1, reason);
  }
  const reasons = Object.values(counters.dropped).reduce((total, count) => total + count, 0);
  assert.equal(counters.received, counters.delivered + reasons);
  assert.equal(made.interface.nd!.neighbours.size, 0);
  assert.deepEqual(sent(made), []);
});

Deno.test("NeighbourDiscovery asks, waits with packets, and probes a neighbour that was not heard for long", () => {
  const made = host();
  const { neighbours } = made.interface.nd!;
  ping(made);
  assert.deepEqual(sent(made), ["fd00::1 > ff02::1:ff00:2 who has fd00::2"]);
  tell(made, 136, "fd00::2", linkOption(2, 2), { flags: SOLICITED | OVERRIDE });
  assert.deepEqual(sent(made), ["fd00::1 > fd00::2 echo"]);
  const entry = neighbours.find(PEER)!;
  assert.equal(entry.state, NeighbourState.Reachable);
  // Without being heard it becomes doubtful; the next packet goes out, and the question 5 s later.
  const late = DEFAULT_LIMITS.neighbourReachable;
  made.stack.poll(late);
  ping(made);
  assert.deepEqual(sent(made), ["fd00::1 > fd00::2 echo"]);
  assert.equal(entry.state, NeighbourState.Delay);
  made.stack.poll(late + 5 * SECOND + 100);
  assert.deepEqual(sent(made), ["fd00::1 > fd00::2 who has fd00::2"]);
  assert.equal(entry.state, NeighbourState.Probe);
  tell(made, 136, "fd00::2", [], { flags: SOLICITED });
  assert.equal(entry.state, NeighbourState.Reachable);
  assert.equal(entry.macLow, 2);
});

Deno.test("NeighbourDiscovery believes another link address only when it is to override", () => {
  const made = host();
  const entry = made.interface.nd!.neighbours.resolve(PEER);
  tell(made, 136, "fd00::2", linkOption(2, 2), { flags: SOLICITED | OVERRIDE });
  tell(made, 136, "fd00::2", linkOption(2, 3), { flags: 0, destination: "ff02::1" });
  assert.deepEqual([entry.state, entry.macLow], [NeighbourState.Stale, 2]);
  tell(made, 136, "fd00::2", linkOption(2, 3), { flags: OVERRIDE, destination: "ff02::1" });
  assert.deepEqual([entry.state, entry.macLow], [NeighbourState.Stale, 3]);
});

Deno.test("NeighbourDiscovery gives up after three questions and tells the sender", () => {
  const made = host();
  const errors: IcmpError[] = [];
  ping(made, errors);
  const asked: string[] = [];
  for (let now = 0; now < 4 * SECOND; now += SECOND / 10) {
    made.stack.poll(now);
    asked.push(...sent(made));
  }
  assert.equal(asked.length, 3);
  assert.deepEqual(errors, [IcmpError.HostUnreachable]);
  assert.equal(ping(made), false);
});

Deno.test("NeighbourDiscovery keeps no more entries than allowed when a whole /64 is scanned from outside", () => {
  const made = host(ALONE, { neighbours: 32 });
  for (let i = 0; i < 1000; i++) {
    const source = `fd00::1:${i.toString(16)}`;
    tell(made, 135, "fd00::1", linkOption(1, i & 255), { source, destination: "ff02::1:ff00:1" });
  }
  assert.equal(made.interface.nd!.neighbours.size, 16, "half of the table is for those that were found");
  assert.equal(made.interface.nd!.counters.evicted, 984);
  assert.equal(made.device.free, 64);
});

Deno.test("A tentative address is given up when somebody else has it, or asks for it as well", () => {
  const claims: ((made: Host) => void)[] = [
    (made) => tell(made, 136, "fd00::1", linkOption(2, 9), { source: "fd00::1", destination: "ff02::1" }),
    (made) => tell(made, 135, "fd00::1", [], { source: "::", destination: "ff02::1:ff00:1" }),
  ];
  for (const claim of claims) {
    const made = host({ linkLocal: false, routers: false });
    const told: string[] = [];
    made.interface.nd!.onDuplicate = (address) => told.push(String(address));
    assert.deepEqual(sent(made), [":: > ff02::1:ff00:1 who has fd00::1"]);
    claim(made);
    made.stack.poll(5 * SECOND);
    assert.equal(made.interface.nd!.addresses[0]!.state, AddressState.Duplicate);
    assert.deepEqual(told, ["fd00::1"]);
    assert.equal(made.stack.isLocal(IpAddress.parse("fd00::1")), false);
    tell(made, 135, "fd00::1", linkOption(1, 2), { destination: "ff02::1:ff00:1" });
    assert.deepEqual(sent(made), []);
  }
});

Deno.test("A tentative address stays when our own probe comes back, and answers no questions", () => {
  const made = host({ linkLocal: false, routers: false });
  const probe = made.device.take().find(({ bytes }) => bytes[20] === 58);
  made.device.deliver(made.interface, probe!.bytes);
  tell(made, 135, "fd00::1", linkOption(1, 2), { destination: "ff02::1:ff00:1" });
  assert.deepEqual(sent(made), []);
  made.stack.poll(2 * SECOND);
  assert.equal(made.interface.nd!.counters.dropped.looped, 1);
  assert.equal(made.interface.nd!.addresses[0]!.state, AddressState.Preferred);
});

Deno.test("An optimistic address is used at once, without disturbing whoever else may have it", () => {
  const made = host({ linkLocal: false, routers: false, duplicates: "optimistic" });
  made.device.take();
  ping(made);
  const [question] = made.device.take();
  assert.equal(question!.bytes.length, 78, "no link address is told");
  tell(made, 135, "fd00::1", linkOption(1, 2), { destination: "ff02::1:ff00:1" });
  const frames = made.device.take();
  const answer = frames.find(({ bytes }) => bytes[54] === 136)!;
  assert.equal(answer.bytes[58], SOLICITED, "no override");
  made.stack.poll(2 * SECOND);
  assert.equal(made.interface.nd!.addresses[0]!.state, AddressState.Preferred);
});

Deno.test("Two hosts that choose the same link-local address end up with different ones", () => {
  const secret = Uint8Array.from({ length: 16 }, (_, i) => i);
  const wire = new Pair({}, { secret }, ["", ""], { routers: false });
  wire.pass(3 * SECOND);
  const [a, b] = [wire.a, wire.b].map((one) => one.interface.nd!.addresses.map((own) => String(own.address)));
  assert.equal(a!.length, 1);
  assert.equal(b!.length, 1);
  assert.notEqual(a![0], b![0], "the link address is part of the identifier");
  // The same link address twice: one of the two has to give way.
  const twins = new Pair({}, { secret }, ["", ""], { routers: false });
  const taken = twins.a.interface.nd!.addresses[0]!.address;
  for (const at of [0, 1]) {
    tell(twins.a, 136, String(twins.a.interface.nd!.addresses[0]!.address), linkOption(2, 9 + at), {
      source: "fe80::99",
      destination: "ff02::1",
    });
  }
  twins.pass(3 * SECOND);
  const own = twins.a.interface.nd!.addresses;
  assert.equal(own.length, 1);
  assert.equal(own[0]!.attempt, 2);
  assert.equal(own[0]!.state, AddressState.Preferred);
  assert.equal(own[0]!.address.equals(taken), false);
});
