import assert from "node:assert/strict";
import { Region } from "../packet.ts";
import * as arp from "./arp.ts";
import { fold, sum } from "./checksum.ts";
import * as ethernet from "./ethernet.ts";
import * as icmp from "./icmpv4.ts";
import * as ipv4 from "./ipv4.ts";
import * as udp from "./udp.ts";

function region(hex: string): Region {
  const bytes = hex.replaceAll(/\s/g, "").match(/../g)!.map((byte) => parseInt(byte, 16));
  const made = new Region(new ArrayBuffer(bytes.length));
  made.bytes.set(bytes);
  return made;
}

/** A ping of 10.0.0.1 as Linux sends it. */
const PING = region(`
  e2e1 043f 7975 36ea d352 abd6 0800
  4500 0054 ce96 4000 4001 5810 0a00 0002 0a00 0001
  0800 2ae3 5eb9 0001
  e88a 056b 0000 0000 b399 0e00 0000 0000 1011 1213 1415 1617 1819 1a1b 1c1d 1e1f 2021 2223 2425
  2627 2829 2a2b 2c2d 2e2f 3031 3233 3435 3637
`);

/** "hello" to port 7, as Linux sends it to a device that completes checksums. */
const DATAGRAM = region(`
  e2e1 043f 7975 36ea d352 abd6 0800
  4500 0021 9f54 4000 4011 8775 0a00 0002 0a00 0001
  ca17 0007 000d 1421 6865 6c6c 6f
`);

/** What Linux says to it. */
const PORT_UNREACHABLE = region(`
  36ea d352 abd6 e2e1 043f 7975 0800
  45c0 003d e177 0000 4001 8486 0a00 0001 0a00 0002
  0303 dadd 0000 0000
  4500 0021 9f54 4000 4011 8775 0a00 0002 0a00 0001 ca17 0007 000d 1421 6865 6c6c 6f
`);

/** Who has 10.0.0.1? Tell 10.0.0.2. */
const WHO_HAS = region(`
  ffff ffff ffff 36ea d352 abd6 0806
  0001 0800 0604 0001 36ea d352 abd6 0a00 0002 0000 0000 0000 0a00 0001
`);

Deno.test("ethernet reads and writes the header of a real frame", () => {
  const { view } = PING;
  assert.equal(ethernet.destinationHigh(view, 0), 0xe2e1);
  assert.equal(ethernet.destinationLow(view, 0), 0x043f7975);
  assert.equal(ethernet.sourceHigh(view, 0), 0x36ea);
  assert.equal(ethernet.sourceLow(view, 0), 0xd352abd6 | 0);
  assert.equal(ethernet.ethertype(view, 0), ethernet.IPV4);
  assert.equal(ethernet.formatMac(0x36ea, 0xd352abd6 | 0), "36:ea:d3:52:ab:d6");
  assert.equal(ethernet.formatMac(0xffff, -1), "ff:ff:ff:ff:ff:ff");
  const copy = new Region(new ArrayBuffer(14));
  ethernet.write(copy.view, 0, 0xe2e1, 0x043f7975, 0x36ea, 0xd352abd6 | 0, 0x0800);
  assert.deepEqual(copy.bytes, PING.bytes.slice(0, 14));
  assert.equal(ethernet.isGroup(0xffff), true);
  assert.equal(ethernet.isGroup(0x0100), true);
  assert.equal(ethernet.isGroup(0x0200), false);
});

Deno.test("ipv4 reads and writes the header of a real packet", () => {
  const { view, bytes } = PING;
  assert.equal(ipv4.version(view, 14), 4);
  assert.equal(ipv4.headerLength(view, 14), 20);
  assert.equal(ipv4.trafficClass(view, 14), 0);
  assert.equal(ipv4.totalLength(view, 14), 84);
  assert.equal(ipv4.identification(view, 14), 0xce96);
  assert.equal(ipv4.fragment(view, 14), ipv4.DONT_FRAGMENT);
  assert.equal(ipv4.isFragment(view, 14), false);
  assert.equal(ipv4.timeToLive(view, 14), 64);
  assert.equal(ipv4.protocol(view, 14), ipv4.ICMP);
  assert.equal(ipv4.source(view, 14), 0x0a000002);
  assert.equal(ipv4.destination(view, 14), 0x0a000001);
  assert.equal(ipv4.checksumOk(view, 14, 20), true);
  const copy = new Region(new ArrayBuffer(20));
  ipv4.write(copy.view, 0, 0, 84, 0xce96, ipv4.DONT_FRAGMENT, 64, 1, 0x0a000002, 0x0a000001);
  assert.deepEqual(copy.bytes, bytes.slice(14, 34));
  copy.view.setUint16(10, 0xdead);
  assert.equal(ipv4.checksumOk(copy.view, 0, 20), false);
  ipv4.writeChecksum(copy.view, 0, 20);
  assert.deepEqual(copy.bytes, bytes.slice(14, 34));
});

Deno.test("ipv4.write() makes a right checksum of extreme fields", () => {
  const copy = new Region(new ArrayBuffer(20));
  for (const word of [0, -1, 0x7fffffff, -0x80000000]) {
    ipv4.write(copy.view, 0, 255, 65535, 65535, 0xffff, 255, 255, word, -1);
    assert.equal(ipv4.checksumOk(copy.view, 0, 20), true);
    assert.equal(ipv4.source(copy.view, 0), word);
    assert.equal(ipv4.totalLength(copy.view, 0), 65535);
  }
});

Deno.test("icmpv4 reads and writes the header of a real message", () => {
  const { view } = PING;
  assert.equal(icmp.type(view, 34), icmp.ECHO_REQUEST);
  assert.equal(icmp.code(view, 34), 0);
  assert.equal(icmp.identifier(view, 34), 0x5eb9);
  assert.equal(icmp.sequence(view, 34), 1);
  const copy = new Region(PING.bytes.slice().buffer);
  icmp.write(copy.view, 34, icmp.ECHO_REQUEST, 0, 0x5eb90001);
  icmp.setChecksum(copy.view, 34, ~sum(copy, 34, 64) & 0xffff);
  assert.equal(icmp.checksum(copy.view, 34), icmp.checksum(view, 34));
  const { view: error } = PORT_UNREACHABLE;
  assert.equal(icmp.type(error, 34), icmp.UNREACHABLE);
  assert.equal(icmp.code(error, 34), icmp.PORT);
  assert.equal(sum(PORT_UNREACHABLE, 34, 41), 0xffff);
  assert.equal(ipv4.trafficClass(error, 14), 0xc0);
  assert.equal(icmp.isError(icmp.UNREACHABLE), true);
  assert.equal(icmp.isError(icmp.ECHO_REPLY), false);
});

Deno.test("udp reads and writes a header", () => {
  const { view, bytes } = DATAGRAM;
  assert.equal(udp.sourcePort(view, 34), 51735);
  assert.equal(udp.destinationPort(view, 34), 7);
  assert.equal(udp.length(view, 34), 13);
  // The folded sum of the pseudo-header, for the device to complete.
  assert.equal(udp.checksum(view, 34), fold(sum(DATAGRAM, 26, 8) + ipv4.UDP + 13));
  const copy = new Region(new ArrayBuffer(8));
  udp.write(copy.view, 0, 51735, 7, 13, 0x1421);
  assert.deepEqual(copy.bytes, bytes.slice(34, 42));
});

Deno.test("arp reads and writes a request", () => {
  const { view, bytes } = WHO_HAS;
  assert.equal(arp.isIpv4OverEthernet(view, 14), true);
  assert.equal(arp.operation(view, 14), arp.REQUEST);
  assert.equal(arp.senderHigh(view, 14), 0x36ea);
  assert.equal(arp.senderLow(view, 14), 0xd352abd6 | 0);
  assert.equal(arp.senderAddress(view, 14), 0x0a000002);
  assert.equal(arp.targetAddress(view, 14), 0x0a000001);
  const copy = new Region(new ArrayBuffer(28));
  arp.write(copy.view, 0, arp.REQUEST, 0x36ea, 0xd352abd6 | 0, 0x0a000002, 0, 0, 0x0a000001);
  assert.deepEqual(copy.bytes, bytes.slice(14));
});
