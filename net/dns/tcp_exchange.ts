/**
 * Questions over TCP (RFC 7766): for answers that fit in no datagram. One connection a server, kept for a while, with
 * several questions under way at a time.
 *
 * @module
 */

import type { TcpApi } from "../../stack/tcp/api.ts";
import { Alarm, type Clock } from "../clock.ts";
import { connect, type TcpConn } from "../conn.ts";
import type { DnsCounters } from "./counters.ts";
import { decodeMessage, encodeMessage } from "./message.ts";
import { sameName } from "./names.ts";
import type { DnsMessage } from "./records.ts";
import type { NameServer } from "./server.ts";

/** Questions under way on one connection. Further ones fail. */
const PENDING = 64;
/** µs for which an idle connection is kept, and milliseconds to open one. */
const IDLE = 10_000_000, OPENING = 3000;

interface Pending {
  readonly name: string;
  readonly type: string;
  done(message: DnsMessage | null): void;
}

/** The connection to one server. */
export class TcpExchange {
  readonly #tcp: TcpApi;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #server: NameServer;
  readonly #counters: DnsCounters;
  readonly #pending = new Map<number, Pending>();
  readonly #idle: Alarm;
  #conn: TcpConn | null = null;
  #opening: Promise<TcpConn> | null = null;
  #writing: Promise<unknown> = Promise.resolve();
  readonly #abort = new AbortController();

  /** @param tcp Of the stack. @param clock Its time. @param random 32 random bits. @param server Who is asked. @param counters What is counted. */
  constructor(tcp: TcpApi, clock: Clock, random: () => number, server: NameServer, counters: DnsCounters) {
    this.#tcp = tcp;
    this.#clock = clock;
    this.#random = random;
    this.#server = server;
    this.#counters = counters;
    this.#idle = new Alarm(clock, () => this.#drop());
  }

  /** Whether there is a connection. */
  get open(): boolean {
    return this.#conn !== null;
  }

  /**
   * Asks.
   *
   * @param name In lower case. @param type Of record. @param timeout µs for the answer.
   * @returns The answer, or null when there is none.
   */
  async ask(name: string, type: string, timeout: number): Promise<DnsMessage | null> {
    const reused = this.#conn !== null;
    const first = await this.#ask(name, type, timeout);
    // A connection that was kept may have ended without our knowing.
    if (first !== null || !reused || this.#conn !== null) return first;
    return await this.#ask(name, type, timeout);
  }

  /** Ends the connection; what waits gets nothing. */
  close(): void {
    this.#abort.abort();
    this.#drop();
  }

  async #ask(name: string, type: string, timeout: number): Promise<DnsMessage | null> {
    let conn: TcpConn;
    try {
      conn = this.#conn ?? await this.#connect();
    } catch {
      return null;
    }
    if (this.#pending.size >= PENDING || this.#conn !== conn) return null;
    this.#idle.cancel();
    let id = this.#random() & 0xffff;
    while (this.#pending.has(id)) id = id + 1 & 0xffff;
    const message = encodeMessage({ id, recursionDesired: true, questions: [{ name, type }], edns: 65535 });
    const framed = new Uint8Array(message.length + 2);
    new DataView(framed.buffer).setUint16(0, message.length);
    framed.set(message, 2);
    return await new Promise((resolve) => {
      const done = (answer: DnsMessage | null) => {
        alarm.cancel();
        this.#pending.delete(id);
        if (this.#pending.size === 0 && this.#conn !== null) this.#idle.set(IDLE);
        resolve(answer);
      };
      const alarm = new Alarm(this.#clock, () => {
        this.#counters.timeouts++;
        done(null);
      });
      alarm.set(timeout);
      this.#pending.set(id, { name, type, done });
      this.#counters.tcpQueries++;
      // One write at a time; one that fails ends the connection, and with it what waits.
      this.#writing = this.#writing.then(() => conn.write(framed)).catch(() => this.#lost(conn));
    });
  }

  #connect(): Promise<TcpConn> {
    return this.#opening ??= (async () => {
      try {
        const { address, port, interface: by } = this.#server;
        const conn = await connect(this.#tcp, this.#clock, {
          hostname: address.toString(),
          port,
          timeout: OPENING,
          signal: this.#abort.signal,
          ...(by === null ? {} : { interface: by }),
        });
        if (this.#abort.signal.aborted) {
          // Closed between the handshake's end and now.
          conn.close();
          throw this.#abort.signal.reason;
        }
        this.#counters.tcpConnections++;
        this.#conn = conn;
        this.#idle.set(IDLE);
        this.#read(conn).catch(() => {}).finally(() => this.#lost(conn));
        return conn;
      } finally {
        this.#opening = null;
      }
    })();
  }

  async #read(conn: TcpConn): Promise<void> {
    let buffer = new Uint8Array(2048), used = 0;
    for (;;) {
      const count = await conn.read(buffer.subarray(used));
      if (count === null) return;
      used += count;
      let at = 0;
      while (used - at >= 2) {
        const length = buffer[at]! << 8 | buffer[at + 1]!;
        if (used - at - 2 < length) {
          if (length + 2 > buffer.length) {
            const larger = new Uint8Array(65537);
            larger.set(buffer.subarray(0, used));
            buffer = larger;
          }
          break;
        }
        this.#receive(buffer.subarray(at + 2, at + 2 + length));
        at += 2 + length;
      }
      buffer.copyWithin(0, at, used);
      used -= at;
    }
  }

  #receive(bytes: Uint8Array): void {
    const { dropped } = this.#counters;
    const message = decodeMessage(bytes);
    if (typeof message === "string") {
      dropped[message]++;
      return;
    }
    const pending = this.#pending.get(message.id);
    if (pending === undefined) {
      dropped.wrongId++;
      return;
    }
    if (!message.response || message.opcode !== 0) {
      dropped.notResponse++;
      return;
    }
    const question = message.questions[0];
    if (
      message.questions.length !== 1 || question!.type !== pending.type ||
      !sameName(question!.name, pending.name)
    ) {
      dropped.wrongQuestion++;
      return;
    }
    this.#counters.responses++;
    pending.done(message);
  }

  /** The connection is over. */
  #lost(conn: TcpConn): void {
    if (this.#conn === conn) this.#drop();
  }

  #drop(): void {
    this.#idle.cancel();
    const conn = this.#conn;
    this.#conn = null;
    conn?.close();
    for (const { done } of [...this.#pending.values()]) done(null);
    // What waits for nothing more keeps no timer.
    this.#idle.cancel();
  }
}
