/**
 * How the numbers of a script and those on the wire belong together, for one conversation.
 *
 * @module
 */

import type { TcpOption } from "./ast.ts";
import type { Captured } from "./codec.ts";
import type { SegmentText } from "./packet_text.ts";

/** One conversation. The peer's sequence numbers are the script's; ours are moved by {@link offset}. */
export class Flow {
  readonly protocol: "tcp" | "udp";
  localPort: number;
  remotePort: number;
  /** What the stack's sequence numbers are ahead of the script's; null before our SYN was seen. */
  offset: number | null = null;
  /** Timestamps that we sent: the script's to the stack's. */
  readonly #stamps = new Map<number, number>();
  /** First timestamp of ours: the script's, and the stack's. */
  #firstStamp: [script: number, live: number] | null = null;
  /** The largest segment that the script's end takes, as its SYN says; `Infinity` before. */
  segment = Infinity;
  /** The last packet of ours. */
  last: Captured | null = null;

  constructor(protocol: "tcp" | "udp", localPort: number, remotePort: number) {
    this.protocol = protocol;
    this.localPort = localPort;
    this.remotePort = remotePort;
  }

  /** Whether a packet of ours belongs to it. */
  sent(packet: Captured): boolean {
    const { body } = packet;
    return body.protocol === this.protocol && body.sourcePort === this.localPort &&
      body.destinationPort === this.remotePort;
  }

  /** Our number, from the script's. */
  toLive(sequence: number): number {
    return (sequence + (this.offset ?? 0)) >>> 0;
  }

  /** The script's number, from ours. */
  toScript(sequence: number): number {
    return (sequence - (this.offset ?? 0)) >>> 0;
  }

  /** Whether a timestamp of ours has been seen. */
  get stamped(): boolean {
    return this.#firstStamp !== null;
  }

  /** Remembers that the script calls our timestamp `live` `script`. */
  noteStamp(script: number, live: number): void {
    this.#firstStamp ??= [script, live];
    this.#stamps.set(script, live);
  }

  /** Ticks that a timestamp of ours is ahead of what the script's would be by the first one. */
  stampDrift(script: number, live: number): number {
    const first = this.#firstStamp;
    return first === null ? 0 : (live - first[1] | 0) - (script - first[0] | 0);
  }

  /** What a script's TSecr stands for. */
  stampToLive(script: number): number {
    const known = this.#stamps.get(script);
    if (known !== undefined) return known;
    if (this.#firstStamp === null || script === 0) return script;
    return (this.#firstStamp[1] + script - this.#firstStamp[0]) >>> 0;
  }

  /** What the script would call a timestamp of ours. */
  stampToScript(live: number): number {
    for (const [script, known] of this.#stamps) if (known === live) return script;
    if (this.#firstStamp === null) return live;
    return (this.#firstStamp[0] + live - this.#firstStamp[1]) >>> 0;
  }

  /** Options that the script injects, by the numbers on the wire: it may quote our timestamps and our sequence numbers. */
  optionsToLive(options: TcpOption[]): TcpOption[] {
    return options.map((option) => {
      if (option.kind === "TS") return { ...option, echo: this.stampToLive(Math.max(0, option.echo)) };
      if (option.kind !== "sack") return option;
      return { ...option, blocks: option.blocks.map(([l, r]) => [this.toLive(l), this.toLive(r)]) };
    });
  }

  /** A segment of ours in the script's numbers. */
  describe(packet: Captured): SegmentText {
    const { body } = packet;
    if (body.protocol !== "tcp") throw new TypeError(`Not a TCP segment: ${body.protocol}`);
    const reset = (body.flags & 4) !== 0 && body.sequence === 0;
    return {
      flags: body.flags,
      sequence: reset ? 0 : this.toScript(body.sequence),
      length: packet.length,
      acknowledgment: body.acknowledgment,
      window: body.window,
      urgent: body.urgent,
      options: body.options.map((option) =>
        option.kind === "TS" ? { ...option, value: this.stampToScript(option.value) } : option
      ),
    };
  }
}
