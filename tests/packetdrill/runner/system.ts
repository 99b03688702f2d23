/**
 * What a script runs against: this stack in virtual time, or the kernel of the machine.
 *
 * @module
 */

import type { IpAddress } from "../../../stack/ip/address.ts";
import type { CallSpec } from "./ast.ts";
import type { Captured } from "./codec.ts";
import type { Attempt } from "./file.ts";

/** A socket, as far as packets are concerned. */
export interface Talker {
  readonly protocol: "tcp" | "udp";
  /** 0 before there is one. */
  readonly localPort: number;
  /** Null before there is one. */
  readonly remotePort: number | null;
}

/** Whoever wants to know which conversation a script speaks of from now on. */
export interface Watcher {
  /** A new socket, of which packets will come. */
  opened(socket: Talker): void;
  /** It was told whom to talk to, and sends by itself. */
  connected(socket: Talker): void;
  /** The script passes over something. */
  warn(message: string): void;
}

/** A host with one interface, whose other end is the script. Times are µs from the start of the script. */
export interface System {
  readonly now: number;
  readonly localAddress: IpAddress;
  readonly remoteAddress: IpAddress;
  /** What the host sent and no step has taken. */
  queue: Captured[];
  /** What it reported as gone wrong beside the calls. */
  readonly errors: unknown[];
  /** Longest time that is waited for a packet or a call that does not come, in µs. */
  readonly patience: number;
  /** How late a timer may be, as a part of its time. */
  readonly drift: number;
  /** How much longer than it may be late a packet is waited for, to tell when it came, in µs. */
  readonly lateness: number;

  /** Does what is due, and takes what was sent. @returns When to come again at the latest. */
  poll(): number;

  /** Lets time pass up to `to`, or until something happens. */
  advance(to: number): void;

  /** Lets a frame come in. */
  deliver(frame: Uint8Array): void;

  /**
   * Begins a call.
   * @param expected What it is to return. @throws {SysError} It fails at once.
   * @throws {Unsupported} The runner does not know it.
   */
  call(spec: CallSpec, expected: number): Attempt;

  /** Runs a shell line. @returns µs that it takes. */
  command(text: string): number;

  /** The fields of tcp_info of a connection, without their prefix; none for one that does not exist. */
  info(localPort: number, remotePort: number): Record<string, number>;

  /** Ends it. */
  close(): void;
}
