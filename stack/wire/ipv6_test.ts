import assert from "node:assert/strict";
import { IpAddress } from "../ip/address.ts";
import { Region } from "../packet.ts";
import { fold, sum } from "./checksum.ts";
import * as icmpv4 from "./icmpv4.ts";
import * as icmp from "./icmpv6.ts";
import * as ipv6 from "./ipv6.ts";
import * as options from "./ipv6_options.ts";
import * as nd from "./nd.ts";

function region(hex: string): Region {
  const bytes = hex.replaceAll(/\s/g, "").match(/../g)!.map((byte) => parseInt(byte, 16));
  const made = new Region(new ArrayBuffer(bytes.length));
  made.bytes.set(bytes);
  return made;
}

const A = IpAddress.parse("fd00::1"), B = IpAddress.parse("fd00::2");

/** A ping of fd00::2, as Linux sends it. */
const PING = region(`
  6007 427e 0018 3a40 fd00 0000 0000 0000 0000 0000 0000 0001 fd00 0000 0000 0000 0000 0000 0000 0002
  8000 509c 25a0 0001 fd8d 056b 0000 0000 0172 0b00 0000 0000
`);

/** What Linux says to a datagram to a port without a listener. */
const PORT_UNREACHABLE = region(`
  6007 b413 003d 3a40 fd00 0000 0000 0000 0000 0000 0000 0002 fd00 0000 0000 0000 0000 0000 0000 0001
  0104 3c99 0000 0000
  600a 72e9 000d 1140 fd00 0000 0000 0000 0000 0000 0000 0001 fd00 0000 0000 0000 0000 0000 0000 0002
  ab97 0007 000d fa22 6865 6c6c 6f
`);

/** Who has fd00::2? */
const SOLICITATION = region(`
  6000 0000 0020 3aff fd00 0000 0000 0000 0000 0000 0000 0001 ff02 0000 0000 0000 0000 0001 ff00 0002
  8700 28d6 0000 0000 fd00 0000 0000 0000 0000 0000 0000 0002 0101 7a28 e9ea f2ae
`);

/** fd00::2 has. */
const ADVERTISEMENT = region(`
  6000 0000 0020 3aff fd00 0000 0000 0000 0000 0000 0000 0002 fd00 0000 0000 0000 0000 0000 0000 0001
  8800 2cc0 6000 0000 fd00 0000 0000 0000 0000 0000 0000 0002 0201 ea80 1eb7 e8a3
`);

/** A multicast listener report, behind a hop-by-hop header with a router alert. */
const REPORT = region(`
  6000 0000 0038 0001 0000 0000 0000 0000 0000 0000 0000 0000 ff02 0000 0000 0000 0000 0000 0000 0016
  3a00 0502 0000 0100
  8f00 79d6 0000 0002
  0400 0000 ff02 0000 0000 0000 0000 0001 ffea f2ae 0400 0000 ff02 0000 0000 0000 0000 0001 ff00 0001
`);

function checksumOk(packet: Region, at = 40): boolean {
  const length = packet.bytes.length - at;
  return fold(sum(packet, 8, 32) + 58 + length + sum(packet, at, length)) === 0xffff;
}

Deno.test("ipv6 reads and writes the header of a real packet", () => {
  const { view, bytes } = PING;
  assert.equal(ipv6.version(view, 0), 6);
  assert.equal(ipv6.trafficClass(view, 0), 0);
  assert.equal(ipv6.flowLabel(view, 0), 0x7427e);
  assert.equal(ipv6.payloadLength(view, 0), 24);
  assert.equal(ipv6.nextHeader(view, 0), ipv6.ICMP);
  assert.equal(ipv6.hopLimit(view, 0), 64);
  assert.equal(String(IpAddress.read(6, view, ipv6.SOURCE)), "fd00::1");
  assert.equal(String(IpAddress.read(6, view, ipv6.DESTINATION)), "fd00::2");
  const copy = new Region(new ArrayBuffer(40));
  ipv6.write(copy.view, 0, 0, 0x7427e, 24, ipv6.ICMP, 64, A, B);
  assert.deepEqual(copy.bytes, bytes.slice(0, 40));
  ipv6.write(copy.view, 0, 0xff, 0xfffff, 65535, 255, 255, B, A);
  assert.deepEqual(
    [ipv6.version(copy.view, 0), ipv6.trafficClass(copy.view, 0), ipv6.flowLabel(copy.view, 0)],
    [6, 0xff, 0xfffff],
  );
  assert.deepEqual([ipv6.payloadLength(copy.view, 0), ipv6.hopLimit(copy.view, 0)], [65535, 255]);
});

Deno.test("ipv6 reads extension headers", () => {
  const { view } = REPORT;
  assert.equal(ipv6.nextHeader(view, 0), ipv6.HOP_BY_HOP);
  assert.equal(ipv6.extensionLength(view, 40), 8);
  assert.equal(view.getUint8(40), ipv6.ICMP);
  assert.equal(options.checkOptions(view, 40, 48, true, 36), options.OPTIONS_OK);
  assert.equal(options.hasRouterAlert(view, 40, 48), true);
  assert.equal(icmpv4.type(view, 48), icmp.LISTENER_REPORT);
  assert.equal(checksumOk(REPORT, 48), true);
  const routing = region("3b02 0001 0000 0000");
  assert.equal(ipv6.extensionLength(routing.view, 0), 24);
  assert.equal(ipv6.routingType(routing.view, 0), 0);
  assert.equal(ipv6.segmentsLeft(routing.view, 0), 1);
  const fragment = region("3a00 05a9 ffff ffff");
  assert.equal(ipv6.fragment(fragment.view, 0), 1448 | ipv6.MORE_FRAGMENTS);
  assert.equal(ipv6.identification(fragment.view, 0), -1);
});

Deno.test("checkOptions() does what an unknown option's type says", () => {
  const check = (hex: string, group = false, payloadLength = -1) => {
    const { view, bytes } = region(`3a00 ${hex}`);
    const result = options.checkOptions(view, 0, bytes.length, group, payloadLength);
    return result <= 0 ? result : [options.problemCode(result), options.problemDistance(result)];
  };
  assert.equal(check("0000 0000 0000"), options.OPTIONS_OK);
  assert.equal(check("0104 0000 0000"), options.OPTIONS_OK);
  assert.equal(check("1e04 0000 0000"), options.OPTIONS_OK);
  assert.equal(check("4204 0000 0000"), options.OPTIONS_DISCARD);
  assert.deepEqual(check("0082 0000 0000"), [icmp.UNKNOWN_OPTION, 3]);
  assert.deepEqual(check("c204 0000 0000"), [icmp.UNKNOWN_OPTION, 2]);
  assert.deepEqual(check("8204 0000 0000", true), [icmp.UNKNOWN_OPTION, 2]);
  assert.equal(check("c204 0000 0000", true), options.OPTIONS_DISCARD);
  assert.equal(check("0105 0000 0000"), options.OPTIONS_MALFORMED);
  assert.equal(check("0000 0000 0001"), options.OPTIONS_MALFORMED);
  assert.equal(check("0104 0000 0100"), options.OPTIONS_MALFORMED, "padding that says something");
  assert.equal(check("0104 0000 0000 0104 0000 0000 0000"), options.OPTIONS_MALFORMED, "too much padding");
  assert.equal(check("1e00 1e00 1e00 1e00 1e00 1e00 1e00 1e00 1e00 0100 0000"), options.OPTIONS_MALFORMED);
  assert.equal(check("0502 0000 0100", false, 8), options.OPTIONS_OK);
  assert.equal(check("0501 0000 0000", false, 8), options.OPTIONS_MALFORMED, "a router alert of one byte");
});

Deno.test("checkOptions() takes no jumbo payload, and tells whoever lies about one where", () => {
  const check = (hex: string, payloadLength: number) => {
    const { view, bytes } = region(`3a00 ${hex}`);
    const result = options.checkOptions(view, 0, bytes.length, false, payloadLength);
    return result <= 0 ? result : [options.problemCode(result), options.problemDistance(result)];
  };
  assert.deepEqual(check("c204 0000 ffff", 0), [icmp.BAD_FIELD, 4]);
  assert.deepEqual(check("c204 0001 0000", 8), [icmp.BAD_FIELD, 2]);
  assert.equal(check("c204 0001 0000", 0), options.OPTIONS_MALFORMED);
  assert.equal(check("00c2 0400 0100 0001 0100 0000 0000", 8), options.OPTIONS_MALFORMED, "not aligned");
});

Deno.test("icmpv6 reads real messages, whose checksums cover the addresses", () => {
  for (const packet of [PING, PORT_UNREACHABLE, SOLICITATION, ADVERTISEMENT]) {
    assert.equal(checksumOk(packet), true);
  }
  assert.equal(icmpv4.type(PING.view, 40), icmp.ECHO_REQUEST);
  assert.equal(icmpv4.identifier(PING.view, 40), 0x25a0);
  assert.equal(icmpv4.sequence(PING.view, 40), 1);
  assert.equal(icmpv4.type(PORT_UNREACHABLE.view, 40), icmp.UNREACHABLE);
  assert.equal(icmpv4.code(PORT_UNREACHABLE.view, 40), icmp.PORT);
  assert.equal(icmp.isError(icmp.PARAMETER_PROBLEM), true);
  assert.equal(icmp.isError(icmp.ECHO_REQUEST), false);
  assert.equal(icmp.nextMtu(region("0200 0000 0000 0500").view, 0), 1280);
});

Deno.test("nd reads and writes real solicitations and advertisements", () => {
  const ns = SOLICITATION, na = ADVERTISEMENT;
  assert.equal(icmpv4.type(ns.view, 40), icmp.NEIGHBOUR_SOLICITATION);
  assert.equal(String(IpAddress.read(6, ns.view, 40 + nd.TARGET)), "fd00::2");
  const end = ns.bytes.length;
  assert.equal(nd.optionsOk(ns.view, 64, end), true);
  const option = nd.findOption(ns.view, 64, end, nd.SOURCE_LINK_ADDRESS);
  assert.equal(option, 64);
  assert.equal(nd.findOption(ns.view, 64, end, nd.MTU), -1);
  assert.deepEqual([nd.linkHigh(ns.view, option), nd.linkLow(ns.view, option)], [0x7a28, 0xe9eaf2ae | 0]);
  assert.equal(nd.flags(na.view, 40), nd.SOLICITED | nd.OVERRIDE);
  const copy = new Region(new ArrayBuffer(72));
  copy.bytes.set(na.bytes.subarray(0, 40));
  nd.writeNeighbour(copy.view, 40, icmp.NEIGHBOUR_ADVERTISEMENT, nd.SOLICITED | nd.OVERRIDE, B);
  nd.writeLinkAddress(copy.view, 64, nd.TARGET_LINK_ADDRESS, 0xea80, 0x1eb7e8a3);
  icmpv4.setChecksum(copy.view, 40, ~fold(sum(copy, 8, 32) + 58 + 32 + sum(copy, 40, 32)) & 0xffff);
  assert.deepEqual(copy.bytes, na.bytes);
});

Deno.test("nd.optionsOk() refuses options without length and ones that end behind the message", () => {
  const ok = (hex: string) => {
    const { view, bytes } = region(hex);
    return nd.optionsOk(view, 0, bytes.length);
  };
  assert.equal(ok("0101 0000 0000 0000"), true);
  assert.equal(ok("0102 0000 0000 0000 0000 0000 0000 0000 0501 0000 0000 05dc"), true);
  assert.equal(ok("0100 0000 0000 0000"), false);
  assert.equal(ok("0102 0000 0000 0000"), false);
  assert.equal(ok("0101 0000 0000 0000 0101"), false);
});

Deno.test("nd reads a router advertisement and its options", () => {
  const { view } = region(`
    8600 0000 40c8 0708 0000 7530 0000 03e8
    0304 40c0 0001 5180 0000 3840 0000 0000 2001 0db8 0000 0000 0000 0000 0000 0000
    0501 0000 0000 05dc
  `);
  assert.equal(nd.advertisedHopLimit(view, 0), 64);
  assert.equal(nd.preference(view, 5), 1);
  assert.equal(nd.routerLifetime(view, 0), 1800);
  assert.equal(nd.reachableTime(view, 0), 30000);
  assert.equal(nd.retransmitTime(view, 0), 1000);
  assert.equal(nd.prefixLength(view, 16), 64);
  assert.equal(nd.prefixFlags(view, 16), nd.ON_LINK | nd.AUTONOMOUS);
  assert.equal(nd.lifetime(view, 16), 86400);
  assert.equal(nd.preferredLifetime(view, 16), 14400);
  assert.equal(nd.optionLength(view, 16), 32);
  assert.equal(nd.linkMtu(view, 48), 1500);
  assert.deepEqual(
    [0x08, 0x00, 0x18, 0x10].map((bits) =>
      nd.preference(region(`${bits.toString(16).padStart(2, "0")}00`).view, 0)
    ),
    [1, 0, -1, -2],
  );
});
