import assert from "node:assert/strict";
import fc from "fast-check";
import { IpAddress } from "../ip/address.ts";
import { decodeFloat, QuerierLevel } from "../multicast/reporter.ts";
import { SourceFilter } from "../multicast/source_filter.ts";
import { Region } from "../packet.ts";
import { ipv4Frame } from "../testing/frames.ts";
import { Host } from "../testing/pair.ts";
import { sum } from "../wire/checksum.ts";

const SECOND = 1_000_000;
const GROUP = IpAddress.parse("239.1.2.3"), OTHER = IpAddress.parse("239.9.9.9");
const S1 = IpAddress.parse("10.0.0.21"), S2 = IpAddress.parse("10.0.0.22"), S3 = IpAddress.parse("10.0.0.23");
const TYPES = ["", "is-in", "is-ex", "to-in", "to-ex", "allow", "block"];

/** One interface in virtual time, and what it has told. */
class Link {
  readonly host: Host;
  now = 0;

  constructor(mtu = 1500) {
    this.host = new Host(1, "10.0.0.1/24", { mtu });
    this.pass(SECOND);
  }

  /** Lets time pass in steps of 10 ms. @returns The IGMP messages sent meanwhile. */
  pass(micros: number): string[] {
    for (const end = this.now + micros; this.now < end; this.now += 10_000) this.host.stack.poll(this.now);
    return this.host.device.take().filter(({ bytes }) => bytes[23] === 2).map(({ bytes }) => describe(bytes));
  }

  /** A message of somebody else. */
  message(type: number, code: number, rest: number[], destination = "224.0.0.1", ttl = 1): void {
    const region = new Region(new Uint8Array([type, code, 0, 0, ...rest]).buffer);
    region.view.setUint16(2, ~sum(region, 0, region.bytes.length));
    const word = IpAddress.parse(destination).d;
    const to = [1, 0, 0x5e, word >>> 16 & 127, word >>> 8 & 255, word & 255];
    this.host.device.deliver(
      this.host.interface,
      ipv4Frame(2, region.bytes, { destination, to, ttl, options: [0x94, 4, 0, 0] }),
    );
  }

  /** A query of version 3. @param code Tenths of a second. */
  query(code: number, group: IpAddress | null = null, sources: IpAddress[] = [], robustness = 2): void {
    const about = group === null ? [0, 0, 0, 0] : [...group.toBytes()];
    const named = sources.flatMap((source) => [...source.toBytes()]);
    this.message(0x11, code, [...about, robustness, 125, 0, sources.length, ...named], group?.toString());
  }
}

/** A frame with an IGMP message: whom it goes to and what it says. */
function describe(bytes: Uint8Array<ArrayBuffer>): string {
  const region = new Region(bytes.slice().buffer);
  const { view } = region;
  assert.equal(bytes[14], 0x46);
  assert.deepEqual([bytes[15], bytes[22]], [0xc0, 1]);
  assert.equal(view.getInt32(34), 0x94040000 | 0);
  assert.equal(sum(region, 14, 24), 0xffff);
  assert.equal(sum(region, 38, bytes.length - 38), 0xffff);
  const destination = IpAddress.read(4, view, 30);
  assert.deepEqual([...bytes.subarray(0, 6)], [
    1,
    0,
    0x5e,
    destination.d >>> 16 & 127,
    destination.d >>> 8 & 255,
    destination.d & 255,
  ]);
  const type = bytes[38]!;
  if (type !== 0x22) return `${destination} ${type.toString(16)} ${IpAddress.read(4, view, 42)}`;
  assert.equal(String(destination), "224.0.0.22");
  const records: string[] = [];
  let at = 46;
  while (at < bytes.length) {
    const sources: IpAddress[] = [];
    for (let i = 0; i < view.getUint16(at + 2); i++) sources.push(IpAddress.read(4, view, at + 8 + 4 * i));
    records.push(`${TYPES[bytes[at]!]} ${IpAddress.read(4, view, at + 4)} {${sources.join(" ")}}`);
    at += 8 + 4 * sources.length;
  }
  assert.equal(view.getUint16(44), records.length);
  return records.join(", ");
}

Deno.test("IgmpListener tells joins and leaves at once and once more", () => {
  const link = new Link();
  const { stack, interface: by } = link.host;
  const listener = stack.groups.join(GROUP, by);
  assert.deepEqual(link.pass(10_000), ["to-ex 239.1.2.3 {}"]);
  assert.deepEqual(link.pass(SECOND), ["to-ex 239.1.2.3 {}"]);
  assert.deepEqual(link.pass(5 * SECOND), []);
  listener.leave();
  assert.deepEqual(link.pass(2 * SECOND), ["to-in 239.1.2.3 {}", "to-in 239.1.2.3 {}"]);
  stack.groups.join(IpAddress.parse("224.0.0.1"), by);
  assert.deepEqual(link.pass(5 * SECOND), []);
});

Deno.test("IgmpListener tells changes of sources, those that overtake others too (RFC 3376, 5.1)", () => {
  const link = new Link();
  const { stack, interface: by } = link.host;
  const listener = stack.groups.join(GROUP, by, new SourceFilter(false, [S1]));
  assert.deepEqual(link.pass(2 * SECOND), ["allow 239.1.2.3 {10.0.0.21}", "allow 239.1.2.3 {10.0.0.21}"]);
  listener.filter = new SourceFilter(false, [S2]);
  const both = "allow 239.1.2.3 {10.0.0.22}, block 239.1.2.3 {10.0.0.21}";
  assert.deepEqual(link.pass(2 * SECOND), [both, both]);
  listener.filter = new SourceFilter(true, [S3]);
  listener.filter = new SourceFilter(true, [S3, S1]);
  assert.deepEqual(link.pass(10_000), ["to-ex 239.1.2.3 {10.0.0.23 10.0.0.21}"]);
  listener.filter = new SourceFilter(true, [S1]);
  assert.deepEqual(link.pass(10_000), ["to-ex 239.1.2.3 {10.0.0.21}"]);
  assert.deepEqual(link.pass(2 * SECOND), ["allow 239.1.2.3 {10.0.0.23}"]);
  const wider = stack.groups.join(GROUP, by);
  assert.deepEqual(link.pass(10_000), ["allow 239.1.2.3 {10.0.0.21}"]);
  wider.leave();
  assert.deepEqual(link.pass(10_000), ["block 239.1.2.3 {10.0.0.21}"]);
  listener.leave();
  assert.deepEqual(link.pass(2 * SECOND), ["to-in 239.1.2.3 {}", "to-in 239.1.2.3 {}"]);
});

Deno.test("IgmpListener answers general, group and source queries once, within the time given", () => {
  const link = new Link();
  const { stack, interface: by } = link.host;
  stack.groups.join(GROUP, by, new SourceFilter(false, [S1, S2]));
  stack.groups.join(OTHER, by, new SourceFilter(true, [S3]));
  link.pass(5 * SECOND);
  for (let i = 0; i < 20; i++) link.query(10);
  const all = "is-in 239.1.2.3 {10.0.0.21 10.0.0.22}, is-ex 239.9.9.9 {10.0.0.23}";
  assert.deepEqual(link.pass(SECOND), [all]);
  link.query(10, GROUP);
  assert.deepEqual(link.pass(SECOND), ["is-in 239.1.2.3 {10.0.0.21 10.0.0.22}"]);
  link.query(10, GROUP, [S1]);
  link.query(10, GROUP, [S3]);
  assert.deepEqual(link.pass(SECOND), ["is-in 239.1.2.3 {10.0.0.21}"]);
  link.query(10, OTHER, [S1, S3]);
  assert.deepEqual(link.pass(SECOND), ["is-in 239.9.9.9 {10.0.0.21}"]);
  link.query(10, OTHER, [S3]);
  link.query(10, IpAddress.parse("239.0.0.77"), []);
  assert.deepEqual(link.pass(SECOND), []);
  // What is about to be told anyway is not told twice.
  link.query(1);
  link.query(255, GROUP, [S1]);
  assert.deepEqual(link.pass(110_000), [all]);
});

Deno.test("IgmpListener takes its robustness from the querier", () => {
  const link = new Link();
  const { stack, interface: by } = link.host;
  link.query(10, null, [], 5);
  link.pass(2 * SECOND);
  stack.groups.join(GROUP, by);
  assert.equal(link.pass(10 * SECOND).length, 5);
});

Deno.test("IgmpListener speaks version 2 while such a querier is on the link, and goes back", () => {
  const link = new Link();
  const { stack, interface: by } = link.host;
  stack.groups.join(OTHER, by);
  link.pass(2 * SECOND);
  link.message(0x11, 100, [0, 0, 0, 0]);
  assert.equal(by.igmp!.level, QuerierLevel.Groups);
  assert.deepEqual(link.pass(10 * SECOND), ["239.9.9.9 16 239.9.9.9"]);
  const listener = stack.groups.join(GROUP, by, new SourceFilter(false, [S1]));
  assert.deepEqual(link.pass(12 * SECOND), ["239.1.2.3 16 239.1.2.3", "239.1.2.3 16 239.1.2.3"]);
  listener.leave();
  assert.deepEqual(link.pass(SECOND), ["224.0.0.2 17 239.1.2.3"]);
  // Somebody else answers first.
  link.message(0x11, 100, [...OTHER.toBytes()], "239.9.9.9");
  link.message(0x16, 0, [...OTHER.toBytes()], "239.9.9.9");
  assert.deepEqual(link.pass(11 * SECOND), []);
  assert.equal(by.igmp!.counters.suppressed, 1);
  link.pass(300 * SECOND);
  assert.equal(by.igmp!.level, QuerierLevel.Sources);
  link.query(10);
  assert.deepEqual(link.pass(SECOND), ["is-ex 239.9.9.9 {}"]);
});

Deno.test("IgmpListener speaks version 1 to such a router, and says no goodbye", () => {
  const link = new Link();
  const { stack, interface: by } = link.host;
  link.message(0x11, 0, [0, 0, 0, 0]);
  assert.equal(by.igmp!.level, QuerierLevel.First);
  const listener = stack.groups.join(GROUP, by);
  assert.deepEqual(link.pass(12 * SECOND), ["239.1.2.3 12 239.1.2.3", "239.1.2.3 12 239.1.2.3"]);
  listener.leave();
  assert.deepEqual(link.pass(12 * SECOND), []);
});

Deno.test("IgmpListener splits long lists over reports, and cuts those that can't be split", () => {
  const link = new Link(68);
  const { stack, interface: by } = link.host;
  const many = Array.from({ length: 10 }, (_, i) => IpAddress.v4(0x0a000100 + i));
  const included = stack.groups.join(GROUP, by, new SourceFilter(false, many));
  const reports = link.pass(10_000);
  assert.deepEqual(reports.map((one) => one.match(/10\.0/g)!.length), [7, 3]);
  included.leave();
  link.pass(3 * SECOND);
  stack.groups.join(GROUP, by, new SourceFilter(true, many));
  assert.deepEqual(link.pass(10_000).map((one) => one.match(/10\.0/g)!.length), [7]);
});

Deno.test("Igmp drops what lies about itself or comes from afar, and counts why", () => {
  const link = new Link();
  const { stack, interface: by } = link.host;
  stack.groups.join(GROUP, by);
  link.pass(2 * SECOND);
  const { dropped } = stack.igmp.counters;
  link.message(0x11, 10, [0, 0, 0, 0], "224.0.0.1", 2);
  assert.equal(dropped.badTimeToLive, 1);
  link.message(0x11, 10, [0, 0]);
  assert.equal(dropped.truncated, 1);
  link.message(0x11, 10, [...GROUP.toBytes(), 2, 125, 0, 3, 1, 2, 3, 4]);
  link.message(0x11, 10, [10, 0, 0, 1, 2, 125, 0, 0]);
  link.message(0x11, 10, [0, 0, 0, 0, 2, 125, 0, 1, 10, 0, 0, 1]);
  link.message(0x11, 10, [0, 0, 0, 0, 2]);
  assert.equal(dropped.malformed, 4);
  link.message(0x99, 0, [0, 0, 0, 0]);
  assert.equal(dropped.unknownType, 1);
  assert.deepEqual(link.pass(2 * SECOND), []);
});

Deno.test("IgmpListener answers a flood of queries at a bounded rate", () => {
  const link = new Link();
  link.host.stack.groups.join(GROUP, link.host.interface);
  link.pass(2 * SECOND);
  let sent = 0;
  for (let i = 0; i < 100; i++) {
    for (let j = 0; j < 10; j++) link.query(0, j % 2 === 0 ? null : GROUP, j === 3 ? [S1] : []);
    sent += link.pass(10_000).length;
  }
  assert.ok(sent > 10 && sent <= 250, `${sent}`);
});

Deno.test("Igmp takes any bytes without harm", () => {
  const link = new Link();
  link.host.stack.groups.join(GROUP, link.host.interface);
  fc.assert(
    fc.property(fc.constantFrom(0x11, 0x12, 0x16, 0x22), fc.uint8Array({ maxLength: 64 }), (type, rest) => {
      link.message(type, rest[0] ?? 0, [...rest]);
      link.host.stack.poll(link.now += 1000);
    }),
  );
  assert.deepEqual(link.host.errors, []);
  link.pass(SECOND);
  assert.equal(link.host.device.faults, 0);
  assert.equal(link.host.device.free, 64);
});

Deno.test("decodeFloat() takes small codes as they are and others as floating point", () => {
  assert.deepEqual([0, 127, 128, 0xff].map((code) => decodeFloat(code, 4)), [0, 127, 128, 31744]);
  assert.deepEqual([32767, 32768, 0xffff].map((code) => decodeFloat(code, 12)), [32767, 32768, 8387584]);
});

Deno.test("Igmp answers for the group as a whole when more sources are asked about than are kept", () => {
  const link = new Link();
  const filter = new SourceFilter(false, [S1]);
  link.host.stack.groups.join(GROUP, link.host.interface, filter);
  link.pass(4 * SECOND);
  const sources = Array.from({ length: 65 }, (_, i) => IpAddress.v4(0x0a000100 + i));
  link.query(10, GROUP, sources);
  assert.deepEqual(link.pass(2 * SECOND), [`is-in ${GROUP} {${S1}}`]);
  link.query(10, GROUP, sources.slice(0, 64));
  assert.deepEqual(link.pass(2 * SECOND), []);
});

Deno.test("Igmp takes no query that was sent to one address of ours from afar", () => {
  const link = new Link();
  link.host.stack.groups.join(GROUP, link.host.interface);
  link.pass(4 * SECOND);
  const region = new Region(new Uint8Array([0x11, 0, 0, 0, 0, 0, 0, 0]).buffer);
  region.view.setUint16(2, ~sum(region, 0, 8));
  const query = (source: string) => {
    const frame = ipv4Frame(2, region.bytes, { source, ttl: 1, options: [0x94, 4, 0, 0] });
    link.host.device.deliver(link.host.interface, frame);
    return link.host.interface.igmp!.level;
  };
  assert.equal(query("192.0.2.1"), QuerierLevel.Sources);
  assert.equal(link.host.stack.igmp.counters.dropped.offLink, 1);
  assert.equal(query("10.0.0.2"), QuerierLevel.First);
});
