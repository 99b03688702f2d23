/**
 * The far end of a script's conversations: which one a packet belongs to, and what the script has it send.
 *
 * @module
 */

import type { IcmpSpec, PacketSpec } from "./ast.ts";
import {
  type Captured,
  encodeIcmp,
  encodeIp,
  encodeTcp,
  encodeUdp,
  icmpNumbers,
  type IpFields,
  signTcp,
} from "./codec.ts";
import { Flow } from "./flow.ts";
import type { RunOptions } from "./options.ts";
import type { System, Talker } from "./system.ts";
import { Unsupported } from "./values.ts";

const ACK = 0x10;

/** Knows the conversations, and injects packets. */
export class Peer {
  readonly #system: System;
  readonly #options: RunOptions;
  /** The socket that packets without ports belong to. */
  #socket: Talker | null = null;
  #flow: Flow | null = null;
  readonly #flows: Flow[] = [];
  #nextPort = 50_001;

  constructor(system: System, options: RunOptions) {
    this.#system = system;
    this.#options = options;
  }

  /** From now on packets without ports are those of a new socket. */
  opened(socket: Talker): void {
    this.#socket = socket;
    this.#flow = null;
  }

  /** A socket has got a peer. */
  connected(socket: Talker): void {
    this.#socket = socket;
    const { protocol, localPort, remotePort } = socket;
    if (remotePort === null) return;
    if (protocol === "udp" && this.#flow !== null) return;
    const known = this.#flow;
    if (known !== null && known.localPort === localPort && known.remotePort === remotePort) return;
    this.#flow = this.#newFlow(protocol, localPort, remotePort);
  }

  #newFlow(protocol: "tcp" | "udp", localPort: number, remotePort: number): Flow {
    const flow = new Flow(protocol, localPort, remotePort);
    this.#flows.push(flow);
    return flow;
  }

  /** The fields of tcp_info of the conversation that the script is about. */
  info(): Record<string, number> {
    const flow = this.#flow;
    const fields: Record<string, number> = {};
    if (flow === null) return fields;
    const info = this.#system.info(flow.localPort, flow.remotePort);
    for (const [name, value] of Object.entries(info)) fields[`tcpi_${name}`] = value;
    return fields;
  }

  /** The conversation that a packet belongs to. */
  flowOf(packet: PacketSpec): Flow {
    const protocol = packet.body.protocol === "udp" ? "udp" : "tcp";
    const { sourcePort, destinationPort } = packet.endpoints;
    if (sourcePort !== null && destinationPort !== null) {
      const [local, remote] = packet.inbound ? [destinationPort, sourcePort] : [sourcePort, destinationPort];
      this.#flow = this.#flows.find((flow) =>
        flow.protocol === protocol && flow.localPort === local && flow.remotePort === remote
      ) ?? this.#newFlow(protocol, local, remote);
      return this.#flow;
    }
    if (this.#flow !== null) return this.#flow;
    const port = this.#socket?.localPort || this.#options.bindPort;
    // A datagram comes from the port that a script's socket would talk to.
    const remote = protocol === "udp" ? this.#options.connectPort : this.#nextPort++;
    return this.#flow = this.#newFlow(protocol, port, remote);
  }

  /** The conversation that a packet of ours belongs to, made if there is none. */
  flowOfSent(packet: Captured): Flow | null {
    const { body } = packet;
    if (body.protocol === "icmp") return null;
    return this.#flows.find((flow) => flow.sent(packet)) ??
      this.#newFlow(body.protocol, body.sourcePort, body.destinationPort);
  }

  #ip(packet: PacketSpec): IpFields {
    const { ip } = packet;
    const ecn = { noecn: 0, ect1: 1, ect0: 2, ect01: 2, ce: 3 }[ip.ecn ?? "noecn"];
    return {
      source: this.#system.remoteAddress,
      destination: this.#system.localAddress,
      trafficClass: ip.trafficClass ?? ecn,
      hopLimit: ip.hopLimit ?? 64,
      flowLabel: ip.flowLabel ?? 0,
    };
  }

  /** Sends what the script says. */
  inject(packet: PacketSpec): void {
    const { body } = packet;
    const flow = this.flowOf(packet);
    const ip = this.#ip(packet);
    switch (body.protocol) {
      case "tcp": {
        for (const option of body.options ?? []) if (option.kind === "mss") flow.segment = option.value;
        const options = flow.optionsToLive(body.options ?? []);
        const bytes = encodeTcp({
          sourcePort: flow.remotePort,
          destinationPort: flow.localPort,
          sequence: body.sequence,
          acknowledgment: body.flags & ACK ? flow.toLive(body.acknowledgment ?? 0) : 0,
          flags: body.flags,
          window: body.window ?? 65535,
          urgent: body.urgent ?? 0,
          options,
        }, body.length);
        signTcp(ip, options, bytes);
        this.#system.deliver(encodeIp(ip, 6, bytes, 16));
        return;
      }
      case "udp":
        this.#system.deliver(encodeIp(ip, 17, encodeUdp(flow.remotePort, flow.localPort, body.length), 6));
        return;
      case "icmp":
        this.#system.deliver(this.#icmp(body, flow, ip));
    }
  }

  #icmp(spec: IcmpSpec, flow: Flow, ip: IpFields): Uint8Array {
    const version = ip.source.version;
    const numbers = icmpNumbers(version, spec.type, spec.code);
    if (numbers === null) {
      throw new Unsupported(`Unknown ICMP type or code "${spec.type} ${spec.code ?? ""}"`);
    }
    const [type, code] = numbers;
    const echo = spec.type.startsWith("echo");
    const rest = echo ? (spec.identifier ?? 0) << 16 : spec.mtu;
    let quoted: Uint8Array = new Uint8Array(echo ? 56 : 0);
    if (!echo) {
      // The quoted packet is one of ours: the header, and eight bytes and more behind it.
      const own = { ...ip, source: ip.destination, destination: ip.source, trafficClass: 0 };
      const { quoted: what } = spec;
      const length = what?.length ?? 0;
      const frame = what?.protocol === "udp" || flow.protocol === "udp"
        ? encodeIp(own, 17, encodeUdp(flow.localPort, flow.remotePort, length), 6)
        : encodeIp(
          own,
          6,
          encodeTcp({
            sourcePort: flow.localPort,
            destinationPort: flow.remotePort,
            sequence: flow.toLive(what?.protocol === "tcp" ? what.sequence : 0),
            acknowledgment: 0,
            flags: ACK,
            window: 0,
            urgent: 0,
            options: [],
          }, length),
          16,
        );
      quoted = frame.subarray(14, 14 + (version === 4 ? 20 : 40) + 8);
    }
    return encodeIp(ip, version === 4 ? 1 : 58, encodeIcmp(type, code, rest >>> 0, quoted), 2);
  }
}
