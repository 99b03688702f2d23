import assert from "node:assert/strict";
import { Cidr, IpAddress } from "../ip/address.ts";
import { arpFrame } from "../testing/frames.ts";
import { Host, Pair } from "../testing/pair.ts";
import { LinkLocalAddress } from "./link_local.ts";

const SECOND = 1_000_000;
const BLOCK = Cidr.parse("169.254.0.0/16");

function pass(made: Host, from: number, micros: number): number {
  for (let now = from;;) {
    const next = made.stack.poll(now);
    if (next > from + micros) {
      made.stack.advance(from + micros);
      return from + micros;
    }
    now = Math.max(next, now + 1);
  }
}

Deno.test("LinkLocalAddress gives two hosts of a link addresses by which they reach each other", () => {
  const pair = new Pair({}, {}, ["", ""]);
  const found = [pair.a, pair.b].map((host) => new LinkLocalAddress(host.interface, () => {}));
  for (const one of found) one.start();
  pair.pass(8 * SECOND);
  const [a, b] = found.map((one) => one.address!);
  assert.ok(BLOCK.contains(a!) && BLOCK.contains(b!) && !a!.equals(b!));
  let replies = 0;
  const session = pair.a.stack.icmp.echo({ destination: b! }, { reply: () => void replies++ });
  session.send(0, new Uint8Array(8));
  pair.run();
  assert.equal(replies, 1);
  found[0]!.stop();
  assert.equal(pair.a.interface.addresses.length, 0);
  found[0]!.start();
  pair.pass(8 * SECOND);
  assert.ok(found[0]!.address!.equals(a!), "the same again");
});

Deno.test("LinkLocalAddress takes another address when one is taken, and slows down when all seem to be", () => {
  const made = new Host(1, "");
  const changes: (string | null)[] = [];
  const local: LinkLocalAddress = new LinkLocalAddress(made.interface, () => {
    changes.push(local.address?.toString() ?? null);
  });
  local.start();
  let now = 0;
  const tried = new Set<string>();
  for (let i = 0; i < 10; i++) {
    while (made.device.sent.length === 0) now = pass(made, now, 100_000);
    const probe = made.device.take()[0]!.bytes;
    const wanted = IpAddress.read(4, new DataView(probe.buffer), 38);
    assert.ok(BLOCK.contains(wanted) && (wanted.d >>> 8 & 255) !== 0 && (wanted.d >>> 8 & 255) !== 255);
    tried.add(`${wanted}`);
    made.device.deliver(made.interface, arpFrame(2, 9, `${wanted}`, 1, "0.0.0.0"));
  }
  assert.equal(tried.size, 10);
  assert.equal(local.conflicts, 10);
  now = pass(made, now, 59 * SECOND);
  assert.equal(made.device.take().length, 0);
  now = pass(made, now, 9 * SECOND);
  assert.equal(changes.length, 1);
  assert.ok(local.address !== null);
  local.stop();
  assert.deepEqual(changes.at(-1), null);
});

Deno.test("LinkLocalAddress leaves its address to who insists on it", () => {
  const made = new Host(1, "");
  const local = new LinkLocalAddress(made.interface, () => {});
  local.start();
  let now = pass(made, 0, 8 * SECOND);
  const first = local.address!;
  for (let i = 0; i < 2; i++) {
    made.device.deliver(made.interface, arpFrame(1, 9, `${first}`, 0, `${first}`));
    now = pass(made, now, SECOND);
  }
  assert.equal(local.address, null);
  pass(made, now, 8 * SECOND);
  assert.ok(local.address !== null && !first.equals(local.address!));
});
