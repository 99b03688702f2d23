import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { IpAddress } from "../ip/address.ts";
import { Recording, TcpPair } from "../testing/tcp_pair.ts";
import * as wire from "../wire/tcp.ts";
import { State } from "./api.ts";
import type { TcpConnection } from "./connection.ts";
import { SignatureKeys } from "./signatures.ts";

const KEY = new TextEncoder().encode("correct horse");
const OTHER = new TextEncoder().encode("battery staple");

Deno.test("SignatureKeys.find() gives the key of the longest prefix", () => {
  const keys = new SignatureKeys();
  const at = (text: string) => IpAddress.parse(text);
  keys.set(at("10.0.0.0"), KEY, 8);
  keys.set(at("10.1.2.0"), OTHER, 24);
  keys.set(at("2001:db8::"), KEY, 33);
  assert.deepEqual(keys.find(at("10.9.9.9")), KEY);
  assert.deepEqual(keys.find(at("10.1.2.3")), OTHER);
  assert.equal(keys.find(at("11.0.0.1")), null);
  assert.deepEqual(keys.find(at("2001:db8:7fff::1")), KEY);
  assert.equal(keys.find(at("2001:db8:8000::1")), null);
  keys.set(at("10.1.2.9"), KEY, 24);
  assert.deepEqual(keys.find(at("10.1.2.3")), KEY);
  assert.equal(keys.size, 3);
  assert(keys.delete(at("10.1.2.0"), 24));
  assert(!keys.delete(at("10.1.2.0"), 24));
  assert.deepEqual(keys.find(at("10.1.2.3")), KEY);
  keys.set(at("0.0.0.0"), OTHER, 0);
  assert.deepEqual(keys.find(at("11.0.0.1")), OTHER);
});

Deno.test("SignatureKeys.set() refuses what can't be, and one key too many", () => {
  const keys = new SignatureKeys(2);
  const address = IpAddress.parse("10.0.0.1");
  assert.throws(() => keys.set(address, new Uint8Array(0)), /1 to 80 bytes, got 0/);
  assert.throws(() => keys.set(address, new Uint8Array(81)), /1 to 80 bytes, got 81/);
  assert.throws(() => keys.set(address, KEY, 33), /0 to 32 bits, got 33/);
  keys.set(address, KEY);
  keys.set(address, KEY, 8);
  keys.set(address, OTHER);
  assert.throws(() => keys.set(address, KEY, 9), /limit is 2/);
});

/** @param keys What each side has for the other. */
function setUp(keys: [Uint8Array | null, Uint8Array | null]) {
  const pair = new TcpPair();
  const tables = keys.map((key, side) => {
    const table = new SignatureKeys();
    if (key !== null) table.set(pair.hosts[1 - side]!.address, key);
    return table;
  });
  const accepted: TcpConnection[] = [];
  pair.tcp(1).listen({ port: 80, signatures: tables[1]! }, {
    ready: (l) => {
      const c = l.take() as TcpConnection;
      accepted.push(c);
      c.handler = new Recording();
      c.resume();
    },
  });
  const handler = new Recording();
  const options = { address: pair.hosts[1].address, port: 80, signatures: tables[0]! };
  const c = pair.tcp(0).connect(options, handler) as TcpConnection;
  return { pair, accepted, c, handler };
}

/** What RFC 2385 has signed, put together another way. */
function digestOf(bytes: Uint8Array, from: number, key: Uint8Array): string {
  const header = (bytes[12]! >> 4) * 4;
  const pseudo = [10, 0, 0, from + 1, 10, 0, 0, 2 - from, 0, 6, bytes.length >> 8, bytes.length & 255];
  const fixed = bytes.slice(0, 20);
  fixed.fill(0, 16, 18);
  return createHash("md5").update(Uint8Array.from(pseudo)).update(fixed).update(bytes.subarray(header))
    .update(key).digest("hex");
}

Deno.test("Connection signs every segment as RFC 2385 has it when there is a key", () => {
  let segments = 0;
  const { pair, accepted, c, handler } = setUp([KEY, KEY]);
  pair.watch = (bytes, from) => {
    segments++;
    assert.deepEqual([...bytes.subarray(20, 24)], [1, 1, 19, 18]);
    assert(bytes.length <= 1480, "Signed segments are not cut by the device");
    const digest = Array.from(bytes.subarray(24, 40), (byte) => byte.toString(16).padStart(2, "0")).join("");
    assert.equal(digest, digestOf(bytes, from, KEY));
  };
  pair.run(100_000);
  assert.equal(c.state, State.Established);
  assert.deepEqual([c.timestamps, c.sackPermitted, c.mss], [false, true, 1440]);
  const data = Uint8Array.from({ length: 50_000 }, (_, i) => i & 255);
  assert.equal(c.write(data, 0, data.length), data.length);
  pair.run(2_000_000);
  assert.deepEqual((accepted[0]!.handler as Recording).bytes, data);
  c.close();
  accepted[0]!.close();
  pair.run(200_000);
  assert.equal(handler.events.at(-1), "closed");
  assert(segments > 40);
  for (const side of [0, 1] as const) {
    const { badSignatures, missingSignatures, unexpectedSignatures } = pair.tcp(side).counters;
    assert.deepEqual([badSignatures, missingSignatures, unexpectedSignatures], [0, 0, 0]);
  }
});

Deno.test("Connection tells a missing, a wrong and an unexpected signature apart when it drops", () => {
  const counts = (keys: [Uint8Array | null, Uint8Array | null]) => {
    const { pair, accepted } = setUp(keys);
    pair.run(100_000);
    assert.equal(accepted.length, 0);
    assert.equal(pair.tcp(1).counters.sentSegments, 0);
    const { badSignatures, missingSignatures, unexpectedSignatures } = pair.tcp(1).counters;
    return [badSignatures, missingSignatures, unexpectedSignatures];
  };
  assert.deepEqual(counts([OTHER, KEY]), [1, 0, 0]);
  assert.deepEqual(counts([null, KEY]), [0, 1, 0]);
  assert.deepEqual(counts([KEY, null]), [0, 0, 1]);
});

Deno.test("Connection drops a segment that was changed on the way, whatever its checksum says", () => {
  let armed = false;
  const { pair, accepted, c } = setUp([KEY, KEY]);
  pair.watch = (bytes) => {
    // A reset that names the very number that is expected.
    if (armed) bytes[13] = wire.RST | wire.ACK;
    armed = false;
  };
  pair.run(100_000);
  armed = true;
  c.write(KEY, 0, KEY.length);
  pair.run(2_000_000);
  assert.equal(pair.tcp(1).counters.badSignatures, 1);
  assert.deepEqual((accepted[0]!.handler as Recording).bytes, KEY);
});

Deno.test("Connection tells of gaps in the room that signatures leave", () => {
  let lose = 0;
  const { pair, accepted, c } = setUp([KEY, KEY]);
  pair.watch = (bytes, from) => {
    assert((bytes[12]! >> 4) * 4 <= 60);
    // Every other segment of the first flight.
    return from === 0 && bytes.length > 1000 && lose++ < 8 ? lose % 2 === 0 : true;
  };
  pair.run(100_000);
  c.write(new Uint8Array(40_000), 0, 40_000);
  pair.run(5_000_000);
  assert.equal((accepted[0]!.handler as Recording).bytes.length, 40_000);
  assert.equal(pair.tcp(0).counters.badSignatures + pair.tcp(1).counters.badSignatures, 0);
});

Deno.test("Connection signs the reset that a closed listener answers with", () => {
  const { pair, accepted, c, handler } = setUp([KEY, KEY]);
  pair.run(100_000);
  accepted[0]!.abort();
  pair.run(100_000);
  assert.equal(c.state, State.Closed);
  assert.match(handler.events.at(-1)!, /ConnectionReset/);
});
