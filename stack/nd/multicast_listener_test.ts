import assert from "node:assert/strict";
import { IpAddress } from "../ip/address.ts";
import { checksumOkV6, icmpv6Frame } from "../testing/frames_v6.ts";
import { Host } from "../testing/pair.ts";

const SECOND = 1_000_000;
const GROUP = IpAddress.parse("ff15::77");

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
      icmpv6Frame(130, 0, [0x03, 0xe8, 0, 0, ...new Array(20).fill(0)], {
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
  assert.equal(made.interface.nd!.listener.queries, 5);
});
