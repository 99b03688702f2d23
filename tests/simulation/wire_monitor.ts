/**
 * What can be judged from the segments that hosts send, whatever becomes of them.
 *
 * @module
 */

import { GSO_NONE } from "../../stack/packet.ts";
import * as tcp from "../../stack/wire/tcp.ts";
import type { Frame } from "./link.ts";
import { isIpv6, isTcp, payloadAt } from "./middlebox.ts";

const IP = 14;

/** One direction of one connection. */
class Direction {
  /** The initial sequence number. */
  isn = 0;
  known = false;
  /** The initial number is another one than before, and nothing of it has been acknowledged yet. */
  renewed = false;
  /** One past the highest sequence number sent. */
  end = 0;
  /** Right edge of the window offered to the other side; valid once {@link offered}. */
  edge = 0;
  offered = false;
  acknowledged = 0;
  /** Window shift of the SYN, or -1. */
  shift = -1;
  mss = 536;
  reverse: Direction | null = null;

  forget(): void {
    this.known = this.offered = this.renewed = false;
  }
}

/** Holds every TCP segment against what its sender may send. */
export class WireMonitor {
  readonly #flows = new Map<number, Direction>();
  readonly #fail: (what: string) => void;
  readonly #scaling: boolean;
  readonly #mssClamp: number;
  readonly #options = new tcp.TcpOptions();
  /** The segment looked at last, for people. */
  told = "";
  /** Whether to fill {@link told}. */
  telling = false;

  /**
   * @param fail Takes what is wrong. @param scaling Whether window scaling passes the link.
   * @param mssClamp What a middlebox lowers the MSS to.
   */
  constructor(fail: (what: string) => void, scaling: boolean, mssClamp: number) {
    this.#fail = fail;
    this.#scaling = scaling;
    this.#mssClamp = mssClamp;
  }

  /** A host sends a frame. */
  see(frame: Frame): void {
    this.told = "";
    const { bytes } = frame;
    if (!isTcp(bytes)) return;
    const view = new DataView(bytes.buffer);
    const at = payloadAt(bytes);
    const v6 = isIpv6(bytes);
    // The last bytes of the addresses tell hosts apart.
    const from = bytes[v6 ? IP + 23 : IP + 15]! & 7, to = bytes[v6 ? IP + 39 : IP + 19]! & 7;
    const version = v6 ? 8 : 0;
    const d = this.#direction(version | from, version | to, view.getUint16(at), view.getUint16(at + 2));
    const header = tcp.headerLength(view, at);
    const length = frame.length - at - header;
    const flags = tcp.flags(view, at);
    const sequence = tcp.sequence(view, at);
    const options = this.#options;
    if (!options.parse(view, at + 20, at + header)) this.#fail("Sent options that lie about their length");
    if (flags & tcp.SYN) this.#begin(d, sequence, flags, options);
    if (this.telling) this.told = this.#tell(d, view, at, length, options);
    if (flags & tcp.RST) return;
    if (flags & tcp.ACK) this.#acknowledgment(d, view, at, flags, v6 || this.#scaling);
    this.#data(d, sequence, length, flags);
    const most = Math.min(d.reverse!.mss, v6 ? 65535 : this.#mssClamp) - (header - 20);
    const size = frame.gsoType === GSO_NONE ? length : frame.gsoSize;
    if (size > most && d.reverse!.known) {
      this.#fail(`Sent ${size} bytes of payload where the peer takes ${most}`);
    }
    for (let i = 0; i < options.sackBlocks; i++) {
      this.#block(d, options.sack[2 * i]!, options.sack[2 * i + 1]!);
    }
  }

  #direction(from: number, to: number, fromPort: number, toPort: number): Direction {
    const key = (from & 15) * 2 ** 36 + (to & 15) * 2 ** 32 + fromPort * 65536 + toPort;
    let d = this.#flows.get(key);
    if (d === undefined) {
      const back = (to & 15) * 2 ** 36 + (from & 15) * 2 ** 32 + toPort * 65536 + fromPort;
      d = new Direction();
      const reverse = new Direction();
      d.reverse = reverse;
      reverse.reverse = d;
      this.#flows.set(key, d);
      this.#flows.set(back, reverse);
    }
    return d;
  }

  #begin(d: Direction, sequence: number, flags: number, options: tcp.TcpOptions): void {
    if (d.known && d.isn === sequence) return;
    if (d.known && !(flags & tcp.ACK)) d.reverse!.forget();
    const renewed = d.known;
    d.forget();
    d.known = true;
    d.renewed = renewed;
    d.isn = sequence;
    d.end = sequence;
    d.shift = options.windowScale;
    d.mss = options.mss === 0 ? 536 : options.mss;
  }

  #acknowledgment(d: Direction, view: DataView, at: number, flags: number, scaling: boolean): void {
    const ack = tcp.acknowledgment(view, at);
    const r = d.reverse!;
    const unsent = r.known && (ack - r.end | 0) > 0;
    // An old SYN that comes late is answered with numbers of which a host in TIME-WAIT knows nothing.
    if (r.renewed && (unsent || (ack - r.isn | 0) < 0)) return;
    r.renewed = false;
    if (unsent) {
      this.#fail(`Acknowledged ${ack - r.end | 0} bytes that were never sent`);
    }
    const scaled = scaling && d.shift >= 0 && r.shift >= 0 && !(flags & tcp.SYN);
    const edge = ack + (tcp.window(view, at) << (scaled ? d.shift : 0)) | 0;
    if (d.offered) {
      if ((ack - d.acknowledged | 0) < 0) {
        this.#fail(`Took back ${d.acknowledged - ack | 0} acknowledged bytes`);
      }
      // What the shift can't say may be given up (RFC 7323, section 2.4): by a SYN that is sent again, and by who holds
      // twice his buffer in tiny segments and can't round up once more.
      const blur = (flags & tcp.SYN) !== 0 || scaled ? (1 << Math.max(d.shift, 0)) - 1 : 0;
      // A SYN that is sent again after data has followed it (RFC 7413) has no scale, and says what it can.
      const unscaled = (flags & tcp.SYN) !== 0 && tcp.window(view, at) === 65535;
      if ((edge - d.edge | 0) < -blur && !unscaled) {
        this.#fail(`Took back ${d.edge - edge | 0} bytes of window`);
      }
    }
    // What was offered once may be used, though a later window can't say it.
    if (!d.offered || (edge - d.edge | 0) > 0) d.edge = edge;
    d.offered = true;
    d.acknowledged = ack;
  }

  #data(d: Direction, sequence: number, length: number, flags: number): void {
    if (!d.known) return;
    const r = d.reverse!;
    const end = sequence + length | 0;
    if (length > 0 && r.offered && (end - r.edge | 0) > 0) {
      this.#fail(`Sent ${end - r.edge | 0} bytes beyond the peer's window`);
    }
    const last = end + (flags & (tcp.SYN | tcp.FIN) ? 1 : 0) | 0;
    if ((last - d.end | 0) > 0) d.end = last;
  }

  #block(d: Direction, left: number, right: number): void {
    const r = d.reverse!;
    if ((right - left | 0) <= 0) this.#fail(`Sent a SACK block from ${left} to ${right}`);
    if (r.known && (right - r.end | 0) > 0) this.#fail(`Sent a SACK block of what was never sent to it`);
  }

  #tell(d: Direction, view: DataView, at: number, length: number, options: tcp.TcpOptions): string {
    const flags = tcp.flags(view, at);
    const r = d.reverse!;
    let names = "";
    for (let bit = 0; bit < 8; bit++) if (flags & 1 << bit) names += "FSRP.UEW"[bit];
    const sequence = tcp.sequence(view, at) - d.isn | 0;
    let told = `${view.getUint16(at)} > ${view.getUint16(at + 2)} ${names} ${sequence}:${sequence + length}`;
    if (flags & tcp.ACK) told += ` ack ${tcp.acknowledgment(view, at) - r.isn | 0}`;
    told += ` win ${tcp.window(view, at)}`;
    if (options.timestamps) told += ` ts ${options.timestampValue} ${options.timestampEcho}`;
    for (let i = 0; i < options.sackBlocks; i++) {
      told += ` sack ${options.sack[2 * i]! - r.isn | 0}:${options.sack[2 * i + 1]! - r.isn | 0}`;
    }
    return told;
  }
}
