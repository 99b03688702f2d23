import assert from "node:assert/strict";
import fc from "fast-check";
import * as tcp from "./tcp.ts";

const hex = (text: string) => {
  const bytes = Uint8Array.from(text.replaceAll(/\s/g, "").match(/../g) ?? [], (pair) => parseInt(pair, 16));
  return new DataView(bytes.buffer);
};

// A SYN that Linux sent: MSS 1460, SACK permitted, timestamps, NOP, window scale 7.
const syn = hex(`
  a5 34 00 50 9b 5c 11 07 00 00 00 00 a0 02 fa f0 d4 2a 00 00
  02 04 05 b4 04 02 08 0a 4b 8d 1e 11 00 00 00 00 01 03 03 07`);

Deno.test("wire/tcp reads the fields of a SYN", () => {
  assert.equal(tcp.sourcePort(syn, 0), 42292);
  assert.equal(tcp.destinationPort(syn, 0), 80);
  assert.equal(tcp.sequence(syn, 0), 0x9b5c1107 | 0);
  assert.equal(tcp.acknowledgment(syn, 0), 0);
  assert.equal(tcp.headerLength(syn, 0), 40);
  assert.equal(tcp.flags(syn, 0), tcp.SYN);
  assert.equal(tcp.window(syn, 0), 64240);
  assert.equal(tcp.checksum(syn, 0), 0xd42a);
});

Deno.test("TcpOptions.parse() reads the options of a SYN", () => {
  const options = new tcp.TcpOptions();
  assert(options.parse(syn, 20, 40));
  assert.equal(options.mss, 1460);
  assert.equal(options.windowScale, 7);
  assert(options.sackPermitted && options.timestamps);
  assert.equal(options.timestampValue, 0x4b8d1e11);
  assert.equal(options.sackBlocks, 0);
});

Deno.test("TcpOptions.parse() reads SACK blocks behind timestamps, and forgets those of the segment before", () => {
  const options = new tcp.TcpOptions();
  const view = hex("0101080a 00000001 00000002 0101050a ffffff00 00000010");
  assert(options.parse(view, 0, 24));
  assert.equal(options.sackBlocks, 1);
  assert.deepEqual([...options.sack.subarray(0, 2)], [-256, 16]);
  assert(options.parse(view, 0, 12));
  assert.equal(options.sackBlocks, 0);
});

Deno.test("TcpOptions.parse() refuses lengths 0, 1 and past the header, and takes a window scale over 14 as 14", () => {
  const options = new tcp.TcpOptions();
  assert.equal(options.parse(hex("02040218 05000000"), 0, 8), false);
  assert.equal(options.mss, 536);
  assert.equal(options.parse(hex("05010000"), 0, 4), false);
  assert.equal(options.parse(hex("01010208"), 0, 4), false);
  assert.equal(options.parse(hex("010101fe"), 0, 4), false);
  assert(options.parse(hex("0303ff00"), 0, 4));
  assert.equal(options.windowScale, 14);
});

Deno.test("TcpOptions.parse() never reads past the end, whatever the bytes", () => {
  const options = new tcp.TcpOptions();
  fc.assert(fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
    const view = new DataView(Uint8Array.from(bytes).buffer);
    options.parse(view, 0, bytes.length);
    assert(options.sackBlocks <= 4 && options.windowScale <= 14);
  }));
});

Deno.test("writeHeader() writes what the getters read", () => {
  const view = new DataView(new ArrayBuffer(40));
  tcp.writeHeader(view, 4, 65535, 1, -1, 0x7fffffff, 32, tcp.ACK | tcp.CWR, 65535);
  assert.equal(tcp.sourcePort(view, 4), 65535);
  assert.equal(tcp.destinationPort(view, 4), 1);
  assert.equal(tcp.sequence(view, 4), -1);
  assert.equal(tcp.acknowledgment(view, 4), 0x7fffffff);
  assert.equal(tcp.headerLength(view, 4), 32);
  assert.equal(tcp.flags(view, 4), tcp.ACK | tcp.CWR);
  assert.equal(tcp.window(view, 4), 65535);
});
