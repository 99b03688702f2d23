/**
 * Which senders to a multicast group are wanted.
 *
 * @module
 */

import type { IpAddress } from "../ip/address.ts";
import type { Packet } from "../packet.ts";

const NOBODY: readonly IpAddress[] = [];

/**
 * A filter on the senders to one group (RFC 3376, section 2; RFC 3810, section 3.1): only those named, or all but
 * those named. Immutable.
 */
export class SourceFilter {
  /** Everyone may send: what joining a group without further words means. */
  static readonly ANYONE: SourceFilter = new SourceFilter(true, NOBODY);
  /** Nobody may send: what not being a member means. */
  static readonly NOBODY: SourceFilter = new SourceFilter(false, NOBODY);
  /** True for all senders but {@link sources} (EXCLUDE), false for {@link sources} only (INCLUDE). */
  readonly exclude: boolean;
  /** The senders, each once. */
  readonly sources: readonly IpAddress[];

  /**
   * Makes a filter.
   * @param exclude Whether `sources` are those that are not wanted. @param sources Senders; doubles count once.
   */
  constructor(exclude: boolean, sources: readonly IpAddress[]) {
    this.exclude = exclude;
    this.sources = sources.filter((one, i) => sources.findIndex((other) => other.equals(one)) === i);
  }

  /** What an interface has to take so that everyone gets what they want (RFC 3376, section 3.2). */
  static merge(filters: readonly SourceFilter[]): SourceFilter {
    const included = filters.filter((one) => !one.exclude).flatMap((one) => one.sources);
    const excluding = filters.filter((one) => one.exclude);
    if (excluding.length === 0) return new SourceFilter(false, included);
    const unwanted = excluding[0]!.sources.filter((source) =>
      !contains(included, source) && excluding.every((one) => contains(one.sources, source))
    );
    return new SourceFilter(true, unwanted);
  }

  /** Whether it lets nobody through: the group need not be listened to. */
  get isEmpty(): boolean {
    return !this.exclude && this.sources.length === 0;
  }

  /** Whether `source` is named. */
  names(source: IpAddress): boolean {
    return contains(this.sources, source);
  }

  /** Whether the sender of a received packet is wanted. Allocates nothing. */
  admits(packet: Packet): boolean {
    const { sources } = this;
    const at = packet.network + (packet.version === 4 ? 12 : 8);
    for (let i = 0; i < sources.length; i++) if (sources[i]!.isAt(packet.view, at)) return !this.exclude;
    return this.exclude;
  }

  /** The same filter with one sender more. */
  with(source: IpAddress): SourceFilter {
    return this.names(source) ? this : new SourceFilter(this.exclude, [...this.sources, source]);
  }

  /** The same filter with one sender less. */
  without(source: IpAddress): SourceFilter {
    return new SourceFilter(this.exclude, this.sources.filter((one) => !one.equals(source)));
  }

  /** Whether both let the same senders through. */
  equals(other: SourceFilter): boolean {
    return this.exclude === other.exclude && this.sources.length === other.sources.length &&
      this.sources.every((source) => other.names(source));
  }

  /** `all but {…}` or `only {…}`. */
  toString(): string {
    return `${this.exclude ? "all but" : "only"} {${this.sources.join(", ")}}`;
  }
}

function contains(sources: readonly IpAddress[], source: IpAddress): boolean {
  return sources.some((one) => one.equals(source));
}
