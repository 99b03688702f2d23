import assert from "node:assert/strict";
import { Cidr, IpAddress } from "../ip/address.ts";
import { IcmpError } from "../ip/path.ts";
import type { StackError } from "../errors.ts";
import { DEFAULT_LIMITS } from "../limits.ts";
import { arpFrame, icmpFrame } from "../testing/frames.ts";
import { Host, Pair } from "../testing/pair.ts";
import { NeighbourState } from "./neighbour_state.ts";

const SECOND = 1_000_000;
const PEER = IpAddress.parse("10.0.0.2");

function host(limits = {}): Host {
  const made = new Host(1, "10.0.0.1/24", {}, { limits });
  made.stack.poll(0);
  return made;
}

/** Ethertype, operation, sender and target of a frame with ARP in it. */
function describe(bytes: Uint8Array): string {
  const view = new DataView(bytes.buffer);
  assert.equal(view.getUint16(12), 0x0806);
  const to = bytes[0] === 255 ? "all" : String(bytes[5]);
  return `${["", "who-has", "is-at"][view.getUint16(20)]} ${IpAddress.read(4, view, 38)} tell ${
    IpAddress.read(4, view, 28)
  } to ${to}`;
}

function ping(made: Host, to = PEER): { sent: boolean; errors: IcmpError[] } {
  const errors: IcmpError[] = [];
  const session = made.stack.icmp.echo({ destination: to }, {
    reply: () => {},
    error: (_session, _sequence, kind) => errors.push(kind),
  });
  return { sent: session.send(1, new Uint8Array(8)), errors };
}

Deno.test("Arp announces an address that an interface gets", () => {
  const made = host();
  assert.deepEqual(made.device.take().map((frame) => describe(frame.bytes)), [
    "who-has 10.0.0.1 tell 10.0.0.1 to all",
  ]);
});

Deno.test("Arp answers a request in place and remembers who asked", () => {
  const made = host();
  made.device.take();
  made.device.deliver(made.interface, arpFrame(1, 2, "10.0.0.2", 0, "10.0.0.1"));
  const [answer] = made.device.take();
  assert.equal(describe(answer!.bytes), "is-at 10.0.0.2 tell 10.0.0.1 to 2");
  assert.deepEqual([...answer!.bytes.subarray(22, 28)], [2, 0, 0, 0, 0, 1]);
  const entry = made.interface.arp.neighbours.find(PEER)!;
  assert.equal(entry.state, NeighbourState.Stale);
  assert.equal(entry.macLow, 2);
});

Deno.test("Arp answers a probe for its address (RFC 5227) and remembers nobody", () => {
  const made = host();
  made.device.take();
  made.device.deliver(made.interface, arpFrame(1, 2, "0.0.0.0", 0, "10.0.0.1"));
  assert.equal(describe(made.device.take()[0]!.bytes), "is-at 0.0.0.0 tell 10.0.0.1 to 2");
  assert.equal(made.interface.arp.neighbours.size, 0);
});

Deno.test("Arp learns nothing from a reply that nobody asked for", () => {
  const made = host();
  made.device.deliver(made.interface, arpFrame(2, 2, "10.0.0.2", 1, "10.0.0.1", [2, 0, 0, 0, 0, 1]));
  assert.equal(made.interface.arp.neighbours.size, 0);
  assert.equal(made.interface.arp.counters.dropped.unsolicited, 1);
});

Deno.test("Arp counts whoever claims its own address, and defends it at most once in 10 seconds", () => {
  const made = host();
  const conflicts: string[] = [];
  made.interface.arp.onConflict = (address, high, low) => conflicts.push(`${address} ${high} ${low}`);
  made.device.take();
  made.device.deliver(made.interface, arpFrame(1, 9, "10.0.0.1", 0, "10.0.0.1"));
  made.device.deliver(made.interface, arpFrame(2, 9, "10.0.0.1", 1, "10.0.0.1"));
  made.device.deliver(made.interface, arpFrame(1, 1, "10.0.0.1", 0, "10.0.0.1"));
  assert.equal(made.interface.arp.counters.dropped.conflict, 3);
  assert.deepEqual(conflicts, ["10.0.0.1 512 9", "10.0.0.1 512 9"]);
  const defence = () => made.device.take().map(({ bytes }) => describe(bytes));
  assert.deepEqual(defence(), ["who-has 10.0.0.1 tell 10.0.0.1 to all"]);
  made.stack.poll(10 * SECOND);
  made.device.deliver(made.interface, arpFrame(1, 9, "10.0.0.1", 0, "10.0.0.1"));
  assert.deepEqual(defence(), ["who-has 10.0.0.1 tell 10.0.0.1 to all"]);
});

Deno.test("Arp answers for others when it is told to, but not to those who ask for themselves", () => {
  const made = host();
  const { arp } = made.interface;
  arp.addProxy(Cidr.parse("10.0.0.64/26"));
  made.device.take();
  made.device.deliver(made.interface, arpFrame(1, 2, "10.0.0.2", 0, "10.0.0.70"));
  assert.equal(describe(made.device.take()[0]!.bytes), "is-at 10.0.0.2 tell 10.0.0.70 to 2");
  made.device.deliver(made.interface, arpFrame(1, 7, "10.0.0.70", 0, "10.0.0.70"));
  made.device.deliver(made.interface, arpFrame(1, 7, "0.0.0.0", 0, "10.0.0.70"));
  made.device.deliver(made.interface, arpFrame(1, 2, "10.0.0.2", 0, "10.0.0.9"));
  arp.removeProxy(Cidr.parse("10.0.0.64/26"));
  made.device.deliver(made.interface, arpFrame(1, 2, "10.0.0.2", 0, "10.0.0.70"));
  assert.equal(made.device.take().length, 0);
});

Deno.test("Neighbour keeps all fragments of the largest packet while it is resolved", () => {
  const pair = new Pair({ slots: 256 });
  let replies = 0;
  const session = pair.a.stack.icmp.echo({ destination: PEER }, { reply: () => void replies++ });
  assert.equal(session.send(0, new Uint8Array(65507)), true);
  pair.run();
  assert.equal(replies, 1);
});

Deno.test("Neighbour keeps the newest packets within its bytes", () => {
  const made = host({ neighbourQueueBytes: 100 });
  const session = made.stack.icmp.echo({ destination: PEER }, { reply: () => {} });
  for (let i = 0; i < 5; i++) assert.equal(session.send(i, new Uint8Array(8)), true);
  const entry = made.interface.arp.neighbours.find(PEER)!;
  assert.equal(entry.queued, 2);
  assert.equal(session.send(5, new Uint8Array(1000)), true);
  assert.equal(entry.queued, 1);
  assert.equal(made.interface.arp.counters.queueOverflow, 5);
});

Deno.test("Neighbour that a transport has heard is not asked", () => {
  const pair = new Pair();
  ping(pair.a);
  pair.run();
  const entry = pair.a.interface.arp.neighbours.find(PEER)!;
  const path = pair.a.stack.path(PEER)!;
  pair.pass(DEFAULT_LIMITS.neighbourReachable - SECOND);
  path.confirm();
  pair.pass(2 * SECOND);
  const { requested } = pair.a.interface.arp.counters;
  ping(pair.a);
  assert.equal(entry.state, NeighbourState.Reachable);
  assert.equal(pair.a.interface.arp.counters.requested, requested);
  pair.pass(DEFAULT_LIMITS.neighbourReachable);
  ping(pair.a);
  assert.equal(entry.state, NeighbourState.Probe);
  path.confirm();
  assert.equal(entry.state, NeighbourState.Reachable);
});

Deno.test("Neighbour keeps packets while it is resolved, the newest when there are too many", () => {
  const made = host({ neighbourQueue: 3 });
  made.device.take();
  const session = made.stack.icmp.echo({ destination: PEER }, { reply: () => {} });
  for (let i = 0; i < 5; i++) assert.equal(session.send(i, new Uint8Array(8)), true);
  assert.deepEqual(made.device.take().map((frame) => describe(frame.bytes)), [
    "who-has 10.0.0.2 tell 10.0.0.1 to all",
  ]);
  assert.equal(made.device.free, 61);
  made.device.deliver(made.interface, arpFrame(2, 2, "10.0.0.2", 1, "10.0.0.1", [2, 0, 0, 0, 0, 1]));
  const sent = made.device.take().map((frame) => new DataView(frame.bytes.buffer).getUint16(40));
  assert.deepEqual(sent, [2, 3, 4]);
  assert.equal(made.interface.arp.counters.queueOverflow, 2);
  assert.equal(made.device.free, 64);
  assert.equal(made.device.faults, 0);
});

Deno.test("Neighbour gives up after three requests, tells the sender, and stays silent for a while", () => {
  const made = host();
  made.device.take();
  const { errors } = ping(made);
  const asked: number[] = [];
  let now = 0;
  while (errors.length === 0) {
    const next = made.stack.poll(now);
    for (const frame of made.device.take()) {
      describe(frame.bytes);
      asked.push(now);
    }
    if (errors.length === 0) now = next;
  }
  assert.deepEqual(asked.map((at) => Math.round(at / SECOND)), [0, 1, 2]);
  assert.equal(Math.round(now / SECOND), 3);
  assert.deepEqual(errors, [IcmpError.HostUnreachable]);
  assert.equal(made.device.free, 64);
  assert.equal(ping(made).sent, false);
  assert.equal(made.device.take().length, 0);
  made.stack.poll(now + DEFAULT_LIMITS.neighbourNegative + 16);
  assert.equal(ping(made).sent, true);
  assert.equal(made.device.take().length, 1);
});

Deno.test("Neighbour is asked by unicast when it was not heard for long, and packets go on", () => {
  const pair = new Pair();
  ping(pair.a);
  pair.run();
  const entry = pair.a.interface.arp.neighbours.find(PEER)!;
  assert.equal(entry.state, NeighbourState.Reachable);
  pair.pass(DEFAULT_LIMITS.neighbourReachable);
  ping(pair.a);
  assert.equal(entry.state, NeighbourState.Probe);
  const frames = pair.a.device.sent.map((frame) => new DataView(frame.bytes.buffer).getUint16(12));
  assert.deepEqual(frames, [0x0806, 0x0800]);
  assert.equal(describe(pair.a.device.sent[0]!.bytes), "who-has 10.0.0.2 tell 10.0.0.1 to 2");
  pair.run();
  assert.equal(entry.state, NeighbourState.Reachable);
});

Deno.test("Neighbour that has changed its link address is followed", () => {
  const pair = new Pair();
  ping(pair.a);
  pair.run();
  pair.a.device.deliver(pair.a.interface, arpFrame(1, 9, "10.0.0.2", 0, "10.0.0.2"));
  const entry = pair.a.interface.arp.neighbours.find(PEER)!;
  assert.equal(entry.macLow, 9);
  assert.equal(entry.state, NeighbourState.Stale);
});

Deno.test("NeighbourCache evicts what is not used when it is full, and paths find their neighbour again", () => {
  const made = host({ neighbours: 16 });
  const session = made.stack.icmp.echo({ destination: PEER }, { reply: () => {} });
  session.send(0, new Uint8Array(8));
  made.device.deliver(made.interface, arpFrame(2, 2, "10.0.0.2", 1, "10.0.0.1", [2, 0, 0, 0, 0, 1]));
  for (let i = 3; i < 250; i++) {
    made.device.deliver(made.interface, arpFrame(1, i, `10.0.0.${i}`, 0, "10.0.0.1"));
    if (i % 8 === 0) session.send(i, new Uint8Array(8));
    assert.ok(made.interface.arp.neighbours.size <= 16);
  }
  assert.equal(made.interface.arp.neighbours.find(PEER)?.macLow, 2, "what is in use stays");
  made.interface.arp.neighbours.clear();
  made.device.take();
  session.send(1, new Uint8Array(8));
  assert.equal(describe(made.device.take()[0]!.bytes), "who-has 10.0.0.2 tell 10.0.0.1 to all");
  assert.equal(made.device.faults, 0);
});

Deno.test("NeighbourCache leaves a few slots of a small device to others", () => {
  const made = new Host(1, "10.0.0.1/24", { slots: 8 }, { limits: { neighbourQueue: 100 } });
  made.device.take();
  const session = made.stack.icmp.echo({ destination: PEER }, { reply: () => {} });
  let sent = 0;
  for (let i = 0; i < 20; i++) if (session.send(i, new Uint8Array(8))) sent++;
  assert.ok(sent > 0 && sent < 8);
  assert.ok(made.device.free >= 3);
  made.stack.removeInterface(made.interface);
  assert.equal(made.device.free, 8);
});

Deno.test("Interface.addAddress() refuses what is no host's address, or is used already", () => {
  const made = host();
  const add = (text: string) => () => made.interface.addAddress(Cidr.parse(text));
  for (const text of ["224.0.0.1/24", "0.0.0.0/8", "10.1.0.255/24", "255.255.255.255/32"]) {
    assert.throws(add(text), (error: StackError) => error.code === "AddressNotAvailable", text);
  }
  assert.throws(add("10.0.0.1/24"), (error: StackError) => error.code === "AddressInUse");
  add("10.0.0.255/32")();
});

Deno.test("Interface reports what a handler throws and goes on", () => {
  const made = host();
  made.interface.attach(0x88b5, {
    receive: () => {
      throw new Error("mine");
    },
  });
  const frame = icmpFrame(8, 0, 0, []);
  frame.set([0x88, 0xb5], 12);
  made.device.deliver(made.interface, frame);
  assert.equal((made.errors[0] as Error).message, "mine");
  assert.equal(made.device.free, 64);
});
