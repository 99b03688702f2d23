/**
 * Frames that lie: about lengths at every layer, about checksums, about who sends them. Built from right ones by the
 * smallest change, so that each reaches the check that it is made for.
 *
 * @module
 */

/** One end of the link. */
export interface End {
  /** Link address, 6 bytes. */
  mac: Uint8Array;
  /** IPv4 address, 4 bytes. */
  ip: Uint8Array;
}

/** A frame that must do no harm, and what is wrong with it. */
export interface Malformed {
  /** What is wrong. */
  name: string;
  /** The frame, without its checksum trailer. */
  frame: Uint8Array;
}

const BROADCAST = Uint8Array.of(255, 255, 255, 255, 255, 255);
const ETHERNET = 14;
const ARP = 28;
const IPV4 = 20;
const L4 = ETHERNET + IPV4;

function concat(...parts: readonly (Uint8Array | readonly number[])[]): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

function u16(value: number): number[] {
  return [value >>> 8 & 0xff, value & 0xff];
}

function sum(bytes: Uint8Array, start = 0): number {
  let total = start;
  for (let i = 0; i < bytes.length; i += 2) total += (bytes[i] ?? 0) << 8 | (bytes[i + 1] ?? 0);
  while (total > 0xffff) total = (total & 0xffff) + (total >>> 16);
  return total;
}

/** A right Ethernet frame. */
export function ethernet(
  to: Uint8Array,
  from: Uint8Array,
  type: number,
  payload: Uint8Array,
): Uint8Array<ArrayBuffer> {
  return concat(to, from, u16(type), payload);
}

/** A right IPv4 packet without options. */
export function ipv4(
  source: Uint8Array,
  destination: Uint8Array,
  protocol: number,
  payload: Uint8Array,
): Uint8Array<ArrayBuffer> {
  const header = concat(
    [0x45, 0],
    u16(IPV4 + payload.length),
    [0x12, 0x34, 0, 0, 64, protocol, 0, 0],
    source,
    destination,
  );
  header.set(u16(~sum(header)), 10);
  return concat(header, payload);
}

/** A right ICMP echo request. */
export function echoRequest(payload = new Uint8Array(8)): Uint8Array<ArrayBuffer> {
  const message = concat([8, 0, 0, 0, 0x77, 0x77, 0, 1], payload);
  message.set(u16(~sum(message)), 2);
  return message;
}

function withTransportChecksum(
  segment: Uint8Array<ArrayBuffer>,
  at: number,
  source: Uint8Array,
  destination: Uint8Array,
  protocol: number,
): Uint8Array<ArrayBuffer> {
  segment.set([0, 0], at);
  const pseudo = sum(concat(source, destination, [0, protocol], u16(segment.length)));
  segment.set(u16(~sum(segment, pseudo)), at);
  return segment;
}

/** A right UDP datagram. */
export function udp(
  source: Uint8Array,
  destination: Uint8Array,
  port: number,
  payload: Uint8Array,
): Uint8Array<ArrayBuffer> {
  const datagram = concat(u16(40000), u16(port), u16(8 + payload.length), [0, 0], payload);
  return withTransportChecksum(datagram, 6, source, destination, 17);
}

/** A right TCP segment; options are padded to a multiple of four. */
export function tcp(
  source: Uint8Array,
  destination: Uint8Array,
  port: number,
  flags: number,
  options: readonly number[] = [],
  payload = new Uint8Array(0),
): Uint8Array<ArrayBuffer> {
  const padded = [...options, ...new Array<number>((4 - options.length % 4) % 4).fill(0)];
  const header = concat(
    u16(40001),
    u16(port),
    [0x11, 0x22, 0x33, 0x44, 0, 0, 0, 0],
    [(5 + padded.length / 4) << 4, flags],
    u16(8192),
    [0, 0, 0, 0],
    padded,
  );
  return withTransportChecksum(concat(header, payload), 16, source, destination, 6);
}

function changed(frame: Uint8Array<ArrayBuffer>, at: number, ...bytes: number[]): Uint8Array<ArrayBuffer> {
  const copy = frame.slice();
  copy.set(bytes, at);
  return copy;
}

/** Sets a byte of the IPv4 header and makes its checksum right again. */
function changedIp(frame: Uint8Array<ArrayBuffer>, at: number, ...bytes: number[]): Uint8Array<ArrayBuffer> {
  const copy = changed(frame, ETHERNET + at, ...bytes);
  const length = Math.min(((copy[ETHERNET] ?? 0) & 15) * 4, copy.length - ETHERNET);
  copy.set([0, 0], ETHERNET + 10);
  copy.set(u16(~sum(copy.subarray(ETHERNET, ETHERNET + length))), ETHERNET + 10);
  return copy;
}

/** The ARP request of one end for the other's address. */
export function arpRequest(host: End, peer: End): Uint8Array<ArrayBuffer> {
  return ethernet(
    BROADCAST,
    peer.mac,
    0x0806,
    concat([0, 1, 8, 0, 6, 4, 0, 1], peer.mac, peer.ip, new Uint8Array(6), host.ip),
  );
}

/** Every malformed frame from `peer` to `host`. UDP and TCP go to port 7, where something listens. */
export function* malformedFrames(host: End, peer: End): Generator<Malformed> {
  const packet = (protocol: number, payload: Uint8Array) =>
    ethernet(host.mac, peer.mac, 0x0800, ipv4(peer.ip, host.ip, protocol, payload));
  const arp = arpRequest(host, peer);
  const echo = packet(1, echoRequest());
  const datagram = packet(17, udp(peer.ip, host.ip, 7, new Uint8Array(16)));
  const segment = (flags: number, options: number[] = [], payload?: Uint8Array<ArrayBuffer>) =>
    packet(6, tcp(peer.ip, host.ip, 7, flags, options, payload));
  const syn = segment(2, [2, 4, 5, 0xb4]);

  for (let length = 0; length < ARP; length++) {
    yield { name: `ARP cut to ${length} bytes`, frame: arp.slice(0, ETHERNET + length) };
  }
  yield { name: "ARP for another hardware type", frame: changed(arp, ETHERNET + 0, 0, 6) };
  yield { name: "ARP for another protocol", frame: changed(arp, ETHERNET + 2, 0x86, 0xdd) };
  yield { name: "ARP with a hardware length of 255", frame: changed(arp, ETHERNET + 4, 255) };
  yield { name: "ARP with a protocol length of 0", frame: changed(arp, ETHERNET + 5, 0) };
  yield { name: "ARP with an unknown operation", frame: changed(arp, ETHERNET + 6, 0xff, 0xff) };
  yield { name: "ARP from the broadcast address", frame: changed(arp, ETHERNET + 8, ...BROADCAST) };

  for (const [what, frame] of [["echo request", echo], ["datagram", datagram], ["segment", syn]] as const) {
    for (let length = 0; length < frame.length - ETHERNET; length++) {
      yield { name: `IPv4 ${what} cut to ${length} bytes`, frame: frame.slice(0, ETHERNET + length) };
    }
  }
  for (const version of [0, 5, 6, 15]) {
    yield { name: `IPv4 with version ${version}`, frame: changedIp(datagram, 0, version << 4 | 5) };
  }
  for (const words of [0, 1, 4, 14, 15]) {
    yield { name: `IPv4 with a header of ${words} words`, frame: changedIp(datagram, 0, 0x40 | words) };
  }
  for (const length of [0, 1, 19, 20, 21, 27, 45, 1500, 65535]) {
    yield { name: `IPv4 with a total length of ${length}`, frame: changedIp(datagram, 2, ...u16(length)) };
  }
  yield { name: "IPv4 with a wrong checksum", frame: changed(datagram, ETHERNET + 10, 0xde, 0xad) };
  yield {
    name: "IPv4 fragment at the end of the longest datagram",
    frame: changedIp(datagram, 6, 0x1f, 0xff),
  };
  yield { name: "IPv4 fragment in the middle of nothing", frame: changedIp(datagram, 6, 0x20, 0x10) };
  for (
    const [who, source] of [
      ["nobody", [0, 0, 0, 0]],
      ["loopback", [127, 0, 0, 1]],
      ["broadcast", [255, 255, 255, 255]],
      ["a multicast group", [224, 0, 0, 1]],
      ["class E", [240, 0, 0, 1]],
      ["the host itself", [...host.ip]],
    ] as const
  ) {
    const from = Uint8Array.from(source);
    const inner = (protocol: number, payload: Uint8Array) =>
      ethernet(host.mac, peer.mac, 0x0800, ipv4(from, host.ip, protocol, payload));
    yield { name: `Echo request from ${who}`, frame: inner(1, echoRequest()) };
    yield { name: `Datagram from ${who}`, frame: inner(17, udp(from, host.ip, 7, new Uint8Array(4))) };
    yield { name: `Segment from ${who}`, frame: inner(6, tcp(from, host.ip, 7, 2)) };
  }
  for (
    const options of [[1, 0, 0, 0], [7, 0, 4, 0], [7, 1, 4, 0], [7, 255, 4, 0], [131, 3, 4, 0], [
      68,
      40,
      5,
      0,
    ]]
  ) {
    const body = concat(u16(40000), u16(7), u16(8), [0, 0]);
    const header = concat(
      [0x46, 0],
      u16(IPV4 + 4 + 8),
      [0, 1, 0, 0, 64, 17, 0, 0],
      peer.ip,
      host.ip,
      options,
    );
    header.set(u16(~sum(header)), 10);
    const frame = ethernet(host.mac, peer.mac, 0x0800, concat(header, body));
    if (options[0] !== 1) yield { name: `IPv4 with the options ${options}`, frame };
  }

  yield { name: "ICMP with a wrong checksum", frame: changed(echo, L4 + 2, 0xde, 0xad) };
  for (const length of [0, 1, 7]) {
    yield { name: `ICMP of ${length} bytes`, frame: packet(1, echoRequest().slice(0, length)) };
  }
  for (const type of [3, 4, 5, 11, 12]) {
    for (const length of [0, 1, 19, 20, 27]) {
      const quoted = ipv4(host.ip, peer.ip, 6, tcp(host.ip, peer.ip, 7, 2)).slice(0, length);
      const message = concat([type, 4, 0, 0, 0, 0, 0, 0], quoted);
      message.set(u16(~sum(message)), 2);
      yield { name: `ICMP error of type ${type} that quotes ${length} bytes`, frame: packet(1, message) };
    }
  }

  yield { name: "UDP with a wrong checksum", frame: changed(datagram, L4 + 6, 0xde, 0xad) };
  for (const length of [0, 1, 7, 25, 1000, 65535]) {
    yield { name: `UDP with a length of ${length}`, frame: changed(datagram, L4 + 4, ...u16(length)) };
  }
  yield { name: "UDP of 7 bytes", frame: packet(17, new Uint8Array(7)) };

  yield { name: "TCP with a wrong checksum", frame: changed(syn, L4 + 16, 0xde, 0xad) };
  for (const words of [0, 1, 4, 7, 15]) {
    const cut = tcp(peer.ip, host.ip, 7, 2, [2, 4, 5, 0xb4]);
    cut[12] = words << 4;
    yield {
      name: `TCP with a header of ${words} words`,
      frame: packet(6, withTransportChecksum(cut, 16, peer.ip, host.ip, 6)),
    };
  }
  yield { name: "TCP of 19 bytes", frame: packet(6, tcp(peer.ip, host.ip, 7, 2).slice(0, 19)) };
  for (
    const options of [[2, 0], [2, 1], [2, 255], [2], [3, 3], [3, 2, 0], [8, 10, 1], [5, 9, 1, 2], [254, 3], [
      1,
      1,
      1,
      2,
    ]]
  ) {
    yield { name: `SYN with the options ${options}`, frame: segment(2, options) };
  }
  for (const flags of [0x00, 0x3f, 0x03, 0x06, 0x07, 0x2b, 0xff]) {
    yield { name: `TCP with the flags 0x${flags.toString(16)}`, frame: segment(flags) };
  }
  yield { name: "SYN to port 0", frame: packet(6, tcp(peer.ip, host.ip, 0, 2)) };
  yield {
    name: "SYN to the broadcast address",
    frame: ethernet(
      BROADCAST,
      peer.mac,
      0x0800,
      ipv4(peer.ip, Uint8Array.of(255, 255, 255, 255), 6, tcp(peer.ip, BROADCAST.slice(0, 4), 7, 2)),
    ),
  };

  for (const type of [0x0000, 0x0005, 0x05dc, 0x05ff, 0x8100, 0x86dd, 0x88a8, 0xffff]) {
    for (const length of [0, 1, 4, 46]) {
      const payload = new Uint8Array(length).fill(0xff);
      yield {
        name: `Ethernet type 0x${type.toString(16)} with ${length} bytes`,
        frame: ethernet(host.mac, peer.mac, type, payload),
      };
    }
  }
}

/** Right frames with some bytes changed at random; the same seed gives the same frames. */
export function* mutatedFrames(
  host: End,
  peer: End,
  count: number,
  seed: number,
): Generator<Uint8Array<ArrayBuffer>> {
  let state = seed | 0;
  const random = (below: number) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
  const packet = (protocol: number, payload: Uint8Array) =>
    ethernet(host.mac, peer.mac, 0x0800, ipv4(peer.ip, host.ip, protocol, payload));
  const right = [
    arpRequest(host, peer),
    packet(1, echoRequest()),
    packet(17, udp(peer.ip, host.ip, 7, new Uint8Array(16))),
    packet(6, tcp(peer.ip, host.ip, 7, 2, [2, 4, 5, 0xb4, 1, 3, 3, 7, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0])),
    packet(6, tcp(peer.ip, host.ip, 7, 0x18, [], new Uint8Array(32))),
  ];
  for (let i = 0; i < count; i++) {
    const frame = (right[random(right.length)] ?? arpRequest(host, peer)).slice();
    for (let changes = 1 + random(4); changes > 0; changes--) {
      // The link addresses stay, or nothing would get past them.
      frame[12 + random(frame.length - 12)] = random(256);
    }
    // Half of them with right checksums again, so that what lies behind a checksum is reached as well.
    const fixed = random(2) === 0 ? changedIp(frame, 8, 64) : frame;
    yield random(8) === 0 ? fixed.slice(0, ETHERNET + random(fixed.length - ETHERNET)) : fixed;
  }
}
