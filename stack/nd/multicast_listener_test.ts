import assert from "node:assert/strict";
import fc from "fast-check";
import { IpAddress } from "../ip/address.ts";
import { SourceFilter } from "../multicast/source_filter.ts";
import { checksumOkV6, icmpv6Frame } from "../testing/frames_v6.ts";
import { Host } from "../testing/pair.ts";

const SECOND = 1_000_000;
const GROUP = IpAddress.parse("ff15::77");
const FROM_ROUTER = {
  source: "fe80::2",
  hopLimit: 1,
  extensions: { first: 0, bytes: [58, 0, 5, 2, 0, 0, 1, 0] },
};

function host(): Host {
  const made = new Host(1, "", {}, {}, { duplicates: "off", routers: false });
  for (const now of [0, 2 * SECOND]) made.stack.poll(now);
  made.device.take();
  return made;
}

/** The records of every report sent: type and group. */
function reports(made: Host): string[][] {
  return made.device.take().map(({ bytes }) => {
    assert.equal(checksumOkV6(bytes), true);
    assert.deepEqual([...bytes.subarray(0, 6)], [0x33, 0x33, 0, 0, 0, 0x16]);
    assert.deepEqual([...bytes.subarray(54, 63)], [58, 0, 5, 2, 0, 0, 1, 0, 143]);
    assert.equal(bytes[21], 1);
    const view = new DataView(bytes.buffer);
    assert.equal(String(IpAddress.read(6, view, 22)), "fe80::ff:fe00:1");
    const records: string[] = [];
    for (let at = 70; at < bytes.length; at += 20) {
      records.push(`${bytes[at]} ${IpAddress.read(6, view, at + 4)}`);
    }
    assert.equal(view.getUint16(68), records.length);
    return records;
  });
}

Deno.test("MulticastListener tells joins and leaves twice", () => {
  const made = host();
  const pass = (from: number) => {
    for (let now = from * SECOND; now < (from + 2) * SECOND; now += SECOND / 10) made.stack.poll(now);
    return reports(made);
  };
  const first = made.stack.groups.join(GROUP, made.interface);
  const again = made.stack.groups.join(GROUP, made.interface);
  assert.deepEqual(pass(2), [["4 ff15::77"], ["4 ff15::77"]]);
  first.leave();
  assert.deepEqual(pass(4), []);
  again.leave();
  assert.deepEqual(pass(6), [["3 ff15::77"], ["3 ff15::77"]]);
});

Deno.test("MulticastListener says nothing of all nodes and of groups that do not leave the host", () => {
  const made = host();
  for (const group of ["ff02::1", "ff01::77"]) {
    made.stack.groups.join(IpAddress.parse(group), made.interface);
  }
  made.stack.poll(4 * SECOND);
  assert.deepEqual(reports(made), []);
});

Deno.test("MulticastListener answers a query of a router on the link within the time that it gives", () => {
  const made = host();
  const query = (source: string, hopLimit: number) =>
    made.device.deliver(
      made.interface,
      icmpv6Frame(130, 0, [0x03, 0xe8, ...new Array(22).fill(0)], {
        ...FROM_ROUTER,
        source,
        hopLimit,
        destination: "ff02::1",
      }),
    );
  query("fe80::2", 255);
  query("fd00::2", 1);
  made.stack.poll(4 * SECOND);
  assert.deepEqual(reports(made), []);
  for (let i = 0; i < 5; i++) query("fe80::2", 1);
  made.stack.poll(5 * SECOND + 100);
  assert.deepEqual(reports(made), [["2 ff02::1:ff00:1"]]);
  assert.equal(made.interface.nd!.listener.counters.queries, 5);
});

Deno.test("MulticastListener tells sources, and answers for those that are asked about", () => {
  const made = host();
  const source = IpAddress.parse("fd00::7");
  made.stack.groups.join(GROUP, made.interface, new SourceFilter(false, [source]));
  made.stack.poll(2.1 * SECOND);
  const [report] = made.device.take();
  assert.deepEqual([...report!.bytes.subarray(70, 74)], [5, 0, 0, 1]);
  assert.equal(String(IpAddress.read(6, new DataView(report!.bytes.buffer), 90)), "fd00::7");
  made.stack.poll(4 * SECOND);
  made.device.take();
  const query = [0, 100, 0, 0, ...GROUP.toBytes(), 2, 125, 0, 1, ...source.toBytes()];
  made.device.deliver(
    made.interface,
    icmpv6Frame(130, 0, query, { ...FROM_ROUTER, destination: String(GROUP) }),
  );
  made.stack.poll(4.2 * SECOND);
  assert.deepEqual([...made.device.take()[0]!.bytes.subarray(70, 74)], [1, 0, 0, 1]);
});

Deno.test("MulticastListener speaks version 1 while such a querier is on the link", () => {
  const made = host();
  const listener = made.stack.groups.join(GROUP, made.interface);
  const pass = (from: number, to: number) => {
    for (let now = from * SECOND; now < to * SECOND; now += SECOND / 10) made.stack.poll(now);
    return made.device.take().map(({ bytes }) => {
      assert.equal(checksumOkV6(bytes), true);
      return `${bytes[62]} ${IpAddress.read(6, new DataView(bytes.buffer), 70)}`;
    });
  };
  pass(2, 5);
  const query = [0x03, 0xe8, ...new Array(18).fill(0)];
  made.device.deliver(made.interface, icmpv6Frame(130, 0, query, { ...FROM_ROUTER, destination: "ff02::1" }));
  assert.deepEqual(pass(5, 7).sort(), ["131 ff02::1:ff00:1", "131 ff15::77"]);
  listener.leave();
  assert.deepEqual(pass(7, 8), ["132 ff15::77"]);
  const report = [0, 0, 0, 0, ...IpAddress.parse("ff02::1:ff00:1").toBytes()];
  made.device.deliver(made.interface, icmpv6Frame(130, 0, query, { ...FROM_ROUTER, destination: "ff02::1" }));
  made.device.deliver(
    made.interface,
    icmpv6Frame(131, 0, report, { ...FROM_ROUTER, destination: "ff02::1:ff00:1" }),
  );
  assert.deepEqual(pass(8, 10), []);
  assert.equal(made.interface.nd!.listener.counters.suppressed, 1);
});

Deno.test("MulticastListener takes any bytes without harm", () => {
  const made = host();
  made.stack.groups.join(GROUP, made.interface, new SourceFilter(false, [IpAddress.parse("fd00::7")]));
  const groups = fc.constantFrom([...GROUP.toBytes()], new Array(16).fill(0), [...new Array(15).fill(0), 1]);
  const cut = fc.option(fc.nat(120), { nil: 120 });
  let now = 3 * SECOND;
  fc.assert(
    fc.property(
      fc.constantFrom(130, 130, 131, 132, 143),
      fc.nat(65535),
      groups,
      fc.uint8Array({ maxLength: 100 }),
      cut,
      (type, delay, group, rest, length) => {
        const bytes = [delay >> 8, delay & 255, 0, 0, ...group, ...rest].slice(0, length);
        made.device.deliver(
          made.interface,
          icmpv6Frame(type, 0, bytes, { ...FROM_ROUTER, destination: "ff02::1" }),
        );
        made.stack.poll(now += 50_000);
      },
    ),
    { numRuns: 1000 },
  );
  made.stack.poll(now += 20_000 * SECOND);
  assert.deepEqual(made.errors, []);
  assert.equal(made.device.faults, 0);
  made.device.take();
  assert.equal(made.device.free, 64);
});

Deno.test("MulticastListener answers for the group as a whole when more sources are asked about than are kept", () => {
  const made = host();
  made.stack.groups.join(GROUP, made.interface, new SourceFilter(false, [IpAddress.parse("fd00::7")]));
  for (const now of [2.1, 4]) made.stack.poll(now * SECOND);
  made.device.take();
  const sources = Array.from({ length: 65 }, () => [...IpAddress.parse("fd00::8").toBytes()]).flat();
  const query = [0, 100, 0, 0, ...GROUP.toBytes(), 2, 125, 0, 65, ...sources];
  made.device.deliver(
    made.interface,
    icmpv6Frame(130, 0, query, { ...FROM_ROUTER, destination: String(GROUP) }),
  );
  made.stack.poll(4.2 * SECOND);
  assert.deepEqual([...made.device.take()[0]!.bytes.subarray(70, 74)], [1, 0, 0, 1]);
});
