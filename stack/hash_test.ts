import assert from "node:assert/strict";
import fc from "fast-check";
import type { Device } from "./device.ts";
import { KeyedHash } from "./hash.ts";
import { IpAddress } from "./ip/address.ts";
import { Packet, Region } from "./packet.ts";
import { ipv4Frame } from "./testing/frames.ts";
import { xorshift } from "./testing/pair.ts";

const word = fc.integer({ min: -0x80000000, max: 0x7fffffff });

Deno.test("KeyedHash.flow() equals packet() of what the peer sends, over both versions", () => {
  const hash = new KeyedHash(xorshift(1));
  const port = fc.nat(65535);
  fc.assert(fc.property(word, word, port, port, (ours, theirs, own, other) => {
    const local = IpAddress.v4(ours), remote = IpAddress.v4(theirs);
    const frame = ipv4Frame(17, [other >> 8, other & 255, own >> 8, own & 255], {
      source: String(remote),
      destination: String(local),
    });
    const packet = new Packet({} as Device, new Region(frame.buffer), 0, 0, frame.length);
    packet.version = 4;
    packet.network = 14;
    packet.transport = 34;
    assert.equal(hash.packet(packet), hash.flow(local, remote, own << 16 | other));

    const local6 = IpAddress.v6(1, 2, 3, ours), remote6 = IpAddress.v6(theirs, 2, 3, 4);
    const six = new Packet({} as Device, new Region(new ArrayBuffer(64)), 0, 0, 64);
    six.version = 6;
    six.transport = 40;
    remote6.write(six.view, 8);
    local6.write(six.view, 24);
    six.view.setUint16(40, other);
    six.view.setUint16(42, own);
    assert.equal(hash.packet(six), hash.flow(local6, remote6, own << 16 | other));
  }));
});

Deno.test("KeyedHash depends on its secret and on every input, and gives 32-bit numbers", () => {
  const one = new KeyedHash(xorshift(1)), two = new KeyedHash(xorshift(2));
  let same = 0;
  for (let i = 0; i < 1000; i++) {
    const value = one.words3(i, 0, 0);
    assert.equal(value, value | 0);
    if (value === two.words3(i, 0, 0)) same++;
    assert.notEqual(value, one.words3(0, i + 1, 0));
    assert.notEqual(one.words1(i), one.words2(i, 0));
  }
  assert.ok(same <= 1);
});

Deno.test("KeyedHash spreads neighbouring inputs evenly over a table", () => {
  const hash = new KeyedHash(xorshift(3));
  const buckets = new Int32Array(256);
  for (let i = 0; i < 65536; i++) buckets[hash.words3(0x0a000001, 0x0a000002, i) & 255]!++;
  // 256 a bucket; the standard deviation is 16.
  assert.ok(Math.max(...buckets) < 256 + 6 * 16);
  assert.ok(Math.min(...buckets) > 256 - 6 * 16);
});

Deno.test("KeyedHash.strongFlow() tells uses and directions apart", () => {
  const hash = new KeyedHash(xorshift(4));
  const a = IpAddress.parse("10.0.0.1"), b = IpAddress.parse("10.0.0.2");
  const base = hash.strongFlow(a, b, 5, 0);
  assert.equal(hash.strongFlow(a, b, 5, 0), base);
  assert.notEqual(hash.strongFlow(a, b, 5, 1), base);
  assert.notEqual(hash.strongFlow(b, a, 5, 0), base);
  assert.notEqual(hash.strongFlow(a, b, 6, 0), base);
});
