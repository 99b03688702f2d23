/**
 * Prints the frames that pass, one line each, while the stack answers ARP, ping and closed ports as it does.
 *
 *     deno task example debug --device tap:tap0 --address 10.0.0.2/24
 *
 * @module
 */

import { formatDotted, IpAddress } from "../stack/ip/address.ts";
import { GSO_NONE, type Packet } from "../stack/packet.ts";
import * as arp from "../stack/wire/arp.ts";
import * as ethernet from "../stack/wire/ethernet.ts";
import * as icmpv6 from "../stack/wire/icmpv6.ts";
import * as ipv4 from "../stack/wire/ipv4.ts";
import * as ipv6 from "../stack/wire/ipv6.ts";
import * as nd from "../stack/wire/nd.ts";
import * as tcp from "../stack/wire/tcp.ts";
import { main, numberOption } from "./options.ts";

/** Names of the TCP flags, lowest bit first. */
const FLAGS = "FSRP.UEW";
/** Names of ICMP types. */
const ICMP: Record<number, string> = {
  0: "echo reply",
  3: "destination unreachable",
  5: "redirect",
  8: "echo request",
  11: "time exceeded",
  12: "parameter problem",
};

/** Names of ICMPv6 types. */
const ICMPV6: Record<number, string> = {
  [icmpv6.UNREACHABLE]: "destination unreachable",
  [icmpv6.PACKET_TOO_BIG]: "packet too big",
  [icmpv6.TIME_EXCEEDED]: "time exceeded",
  [icmpv6.PARAMETER_PROBLEM]: "parameter problem",
  [icmpv6.ECHO_REQUEST]: "echo request",
  [icmpv6.ECHO_REPLY]: "echo reply",
  [icmpv6.LISTENER_QUERY]: "listener query",
  [icmpv6.ROUTER_SOLICITATION]: "router solicitation",
  [icmpv6.ROUTER_ADVERTISEMENT]: "router advertisement",
  [icmpv6.NEIGHBOUR_SOLICITATION]: "who has",
  [icmpv6.NEIGHBOUR_ADVERTISEMENT]: "I am",
  [icmpv6.REDIRECT]: "redirect",
  [icmpv6.LISTENER_REPORT]: "listener report",
};

function describeTcp(view: DataView<ArrayBuffer>, at: number, length: number, total: number): string {
  if (length < tcp.HEADER_LENGTH) return "TCP, truncated";
  const bits = tcp.flags(view, at);
  let flags = "";
  for (let bit = 0; bit < FLAGS.length; bit++) if ((bits & 1 << bit) !== 0) flags += FLAGS[bit];
  const payload = Math.max(0, total - tcp.headerLength(view, at));
  return `Flags [${flags}], seq ${tcp.sequence(view, at) >>> 0}, ack ${
    tcp.acknowledgment(view, at) >>> 0
  }, win ${tcp.window(view, at)}, length ${payload}`;
}

/** What TCP and UDP have in common; null for other protocols. */
function describePorts(
  view: DataView<ArrayBuffer>,
  at: number,
  length: number,
  total: number,
  protocol: number,
): { from: number; to: number; what: string } | null {
  if ((protocol !== tcp.PROTOCOL && protocol !== ipv4.UDP) || length < 8) return null;
  const what = protocol === ipv4.UDP ? `UDP, length ${total - 8}` : describeTcp(view, at, length, total);
  return { from: view.getUint16(at), to: view.getUint16(at + 2), what };
}

function describeIpv4(packet: Packet, at: number): string {
  const { view, end } = packet;
  if (end - at < ipv4.HEADER_LENGTH) return "IPv4, truncated";
  const transport = at + ipv4.headerLength(view, at);
  const source = formatDotted(ipv4.source(view, at)), destination = formatDotted(ipv4.destination(view, at));
  const fragment = ipv4.fragment(view, at) & 0x1fff;
  const length = end - transport;
  const total = length + packet.piece0Length + packet.piece1Length;
  const protocol = ipv4.protocol(view, at);
  if (fragment !== 0) return `${source} > ${destination}: fragment at ${fragment * 8}, length ${total}`;
  const ports = describePorts(view, transport, length, total, protocol);
  if (ports !== null) return `${source}.${ports.from} > ${destination}.${ports.to}: ${ports.what}`;
  if (protocol === ipv4.ICMP && length >= 8) {
    const type = view.getUint8(transport);
    const name = ICMP[type] ?? `type ${type}`;
    const echo = type === 0 || type === 8
      ? `, id ${view.getUint16(transport + 4)}, seq ${view.getUint16(transport + 6)}`
      : `, code ${view.getUint8(transport + 1)}`;
    return `${source} > ${destination}: ICMP ${name}${echo}, length ${total}`;
  }
  return `${source} > ${destination}: protocol ${protocol}, length ${total}`;
}

function describeIpv6(packet: Packet, at: number): string {
  const { view, end } = packet;
  if (end - at < ipv6.HEADER_LENGTH) return "IPv6, truncated";
  const source = IpAddress.read(6, view, at + ipv6.SOURCE);
  const destination = IpAddress.read(6, view, at + ipv6.DESTINATION);
  let protocol = ipv6.nextHeader(view, at);
  let transport = at + ipv6.HEADER_LENGTH;
  while ((protocol === ipv6.HOP_BY_HOP || protocol === ipv6.DESTINATION_OPTIONS) && end - transport >= 8) {
    protocol = view.getUint8(transport);
    transport += ipv6.extensionLength(view, transport);
  }
  const length = end - transport;
  const total = length + packet.piece0Length + packet.piece1Length;
  const ports = describePorts(view, transport, length, total, protocol);
  if (ports !== null) return `${source}.${ports.from} > ${destination}.${ports.to}: ${ports.what}`;
  if (protocol === ipv6.ICMP && length >= 8) {
    const type = view.getUint8(transport);
    const name = ICMPV6[type] ?? `type ${type}`;
    const echo = type === icmpv6.ECHO_REQUEST || type === icmpv6.ECHO_REPLY;
    const neighbour = type === icmpv6.NEIGHBOUR_SOLICITATION || type === icmpv6.NEIGHBOUR_ADVERTISEMENT;
    const more = echo
      ? `, id ${view.getUint16(transport + 4)}, seq ${view.getUint16(transport + 6)}`
      : neighbour && length >= nd.NEIGHBOUR_LENGTH
      ? ` ${IpAddress.read(6, view, transport + nd.TARGET)}`
      : "";
    return `${source} > ${destination}: ICMPv6 ${name}${more}, length ${total}`;
  }
  return `${source} > ${destination}: protocol ${protocol}, length ${total}`;
}

function describeArp(packet: Packet, at: number): string {
  const { view, end } = packet;
  if (end - at < arp.LENGTH || !arp.isIpv4OverEthernet(view, at)) return "ARP, not understood";
  const sender = formatDotted(arp.senderAddress(view, at)),
    target = formatDotted(arp.targetAddress(view, at));
  if (arp.operation(view, at) === arp.REQUEST) return `ARP, who has ${target}, tell ${sender}`;
  return `ARP, ${sender} is at ${mac(view, at + 8)}`;
}

function mac(view: DataView, at: number): string {
  return Array.from({ length: 6 }, (_, i) => view.getUint8(at + i).toString(16).padStart(2, "0")).join(":");
}

/** @param addressed Whether there is a link header. */
function describe(packet: Packet, addressed: boolean): string {
  const { view, offset } = packet;
  const gso = packet.gsoType === GSO_NONE ? "" : ` (super-frame of ${packet.gsoSize})`;
  if (!addressed) {
    return (view.getUint8(offset) >>> 4 === 6 ? describeIpv6 : describeIpv4)(packet, offset) + gso;
  }
  if (packet.end - offset < ethernet.HEADER_LENGTH) return "frame, truncated";
  const type = ethernet.ethertype(view, offset);
  const at = offset + ethernet.HEADER_LENGTH;
  if (type === ethernet.IPV4) return describeIpv4(packet, at) + gso;
  if (type === ethernet.IPV6) return describeIpv6(packet, at) + gso;
  if (type === ethernet.ARP) return describeArp(packet, at);
  return `${mac(view, offset + 6)} > ${mac(view, offset)}: ethertype 0x${
    type.toString(16).padStart(4, "0")
  }, length ${packet.length - ethernet.HEADER_LENGTH}`;
}

await main({
  name: "debug",
  summary: "Prints frames as they pass.",
  options: { count: { type: "string", value: "N", help: "ends after so many frames" } },
}, async (run) => {
  const { network, signal } = run;
  const count = numberOption(run, "count", 1, 1e9, Infinity);
  const started = performance.now();
  let seen = 0;
  let enough = () => {};
  const ended = new Promise<void>((resolve) => enough = resolve);
  const show = (direction: "in" | "out") => ({
    receive(packet: Packet): boolean {
      if (seen >= count) return false;
      const time = ((performance.now() - started) / 1000).toFixed(6).padStart(10);
      console.log(`${time} ${direction.padEnd(3)} ${describe(packet, network.interface.addressed)}`);
      if (++seen === count) enough();
      return false;
    },
  });
  network.interface.tap("in", show("in"));
  network.interface.tap("out", show("out"));
  console.log(`Listening on ${network.interface.name}`);
  signal.addEventListener("abort", () => enough());
  await ended;
});
