/**
 * The two applications of a connection: they do what their plan says, and hold the stack to what it promises.
 *
 * @module
 */

import type { StackError } from "../../stack/errors.ts";
import type { Bytes } from "../../stack/packet.ts";
import type { Connection, ConnectionHandler } from "../../stack/tcp/api.ts";
import { State } from "../../stack/tcp/api.ts";
import type { TcpConnection } from "../../stack/tcp/connection.ts";
import { Payload } from "./payload.ts";
import type { ConnectionPlan, SidePlan } from "./plan.ts";

/** What an application needs of its world. */
export interface Surroundings {
  /** µs. */
  readonly now: number;
  /** Whether frames may be lost, so that a neighbour may not be found. */
  readonly harsh: boolean;
  /** Whether so much is lost that a peer that is there may be given up. */
  readonly brutal: boolean;
  /** Calls later. @param delay In µs. */
  after(delay: number, run: () => void): void;
  /** Reports what must not be. */
  fail(what: string): void;
  /** For the story. */
  note(what: string): void;
  /** Something went on. */
  progress(): void;
  /** A pair has nothing more to do. */
  done(pair: Pair): void;
}

const scratch: Bytes = new Uint8Array(1 << 20);

/** A connection with both its ends. */
export class Pair {
  readonly plan: ConnectionPlan;
  readonly index: number;
  readonly sides: [Side, Side];
  /** Errors and missing bytes are in order. */
  violent: boolean;
  /** Told to the world. */
  finished = false;

  constructor(world: Surroundings, index: number, plan: ConnectionPlan, start: number) {
    this.plan = plan;
    this.index = index;
    this.violent = plan.violent;
    const there = new Payload(start), back = new Payload(start + 500_009);
    this.sides = [new Side(world, this, 0, there, back), new Side(world, this, 1, back, there)];
  }

  /** Both ends are closed, or the second was never made. */
  get over(): boolean {
    const [a, b] = this.sides;
    return a.isClosed && (b.isClosed || b.connection === null);
  }
}

/** One end of a connection. */
export class Side implements ConnectionHandler {
  readonly pair: Pair;
  readonly plan: SidePlan;
  readonly #world: Surroundings;
  readonly #index: number;
  readonly #out: Payload;
  readonly #in: Payload;
  connection: TcpConnection | null = null;
  sent = 0;
  received = 0;
  connectedTold = false;
  finishedTold = false;
  isClosed = false;
  error: StackError | null = null;
  #begun = false;
  #blocked = false;
  #writeTimer = false;
  #readTimer = false;
  /** µs added to the time between reads. */
  #idle = 0;
  /** It has closed or aborted. */
  #ended = false;
  /** It has said that nothing more comes. */
  #said = false;

  constructor(world: Surroundings, pair: Pair, index: 0 | 1, out: Payload, in_: Payload) {
    this.#world = world;
    this.pair = pair;
    this.#index = index;
    this.plan = pair.plan.sides[index];
    this.#out = out;
    this.#in = in_;
  }

  get name(): string {
    return `${this.pair.index}.${this.#index}`;
  }

  get #expected(): number {
    return this.pair.plan.sides[1 - this.#index]!.total;
  }

  /** An accepted connection, or one whose `connect` has begun. */
  attach(connection: Connection): void {
    if (this.connection !== null) this.#fail("Was made twice");
    this.connection = connection as TcpConnection;
    connection.noDelay = this.plan.noDelay;
    if (this.plan.keepAlive > 0) connection.keepAlive = this.plan.keepAlive;
  }

  /** Data may flow. */
  begin(): void {
    if (this.#begun || this.isClosed) return;
    this.#begun = true;
    const { ending, endAfter } = this.plan;
    if (ending === "abort" || ending === "close-unread") {
      this.#world.after(endAfter, () => this.#endEarly());
    }
    this.#pump();
    if (this.plan.reading === "timer") this.#readLater();
  }

  connected(): void {
    this.#world.note(`${this.name} connected`);
    this.#world.progress();
    if (this.connectedTold) this.#fail("Was told twice that it is connected");
    if (this.isClosed) this.#fail("Was told that it is connected after it was closed");
    this.connectedTold = true;
    this.begin();
  }

  receive(_connection: Connection, bytes: Bytes, offset: number, length: number): number {
    if (this.isClosed) this.#fail("Received data after it was closed");
    if (this.finishedTold) this.#fail("Received data after the end");
    if (length <= 0) this.#fail(`Was offered ${length} bytes`);
    let taken = length;
    const { reading, readChunk } = this.plan;
    switch (reading) {
      case "eager":
        break;
      case "partial":
        taken = Math.min(length, Math.max(1, readChunk));
        if (taken < length) this.#readLater();
        break;
      case "resume":
        taken = this.#readTimer ? 0 : Math.min(length, readChunk);
        if (taken < length) this.#readLater();
        break;
      default:
        taken = 0;
    }
    this.#verify(bytes, offset, taken);
    return taken;
  }

  finished(): void {
    this.#world.note(`${this.name} finished`);
    this.#world.progress();
    if (this.finishedTold) this.#fail("Was told twice that the peer has finished");
    if (this.isClosed) this.#fail("Was told that the peer has finished after it was closed");
    this.finishedTold = true;
    const side = this.pair.sides[1 - this.#index]!;
    if (this.received !== side.sent) {
      this.#fail(`Was told that the peer has finished after ${this.received} of ${side.sent} bytes`);
    }
    if (this.plan.ending !== "finish" && this.#said) this.#close();
    if (this.plan.ending === "follow" && this.sent === this.plan.total) this.#close();
  }

  writable(): void {
    if (this.isClosed) this.#fail("Was told that it can write after it was closed");
    if (!this.#blocked) this.#fail("Was told that it can write without having been refused");
    this.#blocked = false;
    this.#pump();
  }

  closed(_connection: Connection, error: StackError | null): void {
    this.#world.note(`${this.name} closed${error === null ? "" : ` ${error.code}`}`);
    this.#world.progress();
    if (this.isClosed) this.#fail("Was closed twice");
    this.isClosed = true;
    this.error = error;
    this.#judge(error);
    if (this.pair.over) this.#world.done(this.pair);
  }

  #judge(error: StackError | null): void {
    const { pair } = this;
    if (error !== null) {
      // Who has closed is not waited for as long, and nobody waits long for a handshake.
      const excused = error.code === "TimedOut"
        ? (!this.connectedTold || this.#ended) && this.#world.brutal
        : error.code === "ConnectionReset"
        // Whose handshake was given up before his last ACK came is told so when he speaks.
        ? this.#index === 0 && pair.sides[1].connection === null && this.#world.brutal
        : error.code === "HostUnreachable" && !this.connectedTold && this.#world.harsh;
      if (excused) pair.violent = true;
      if (pair.plan.meeting === "nobody" && error.code !== "ConnectionRefused" && !excused && !this.#ended) {
        this.#fail(`Connected to a closed port and got ${error.code}`);
      }
      if (!pair.violent) this.#fail(`Was closed with ${error.code}: ${error.message}`);
      return;
    }
    if (pair.violent) return;
    if (this.received !== this.#expected) {
      this.#fail(`Was closed in order after ${this.received} of ${this.#expected} bytes`);
    }
    if (this.sent !== this.plan.total) this.#fail(`Was closed in order after sending ${this.sent}`);
    if (!this.finishedTold) this.#fail("Was closed in order but never told that the peer has finished");
  }

  /** The world ends: gives up what is still there. */
  giveUp(): void {
    this.#ended = true;
    if (!this.isClosed) this.connection?.abort();
  }

  #fail(what: string): void {
    this.#world.fail(`Connection ${this.name}: ${what}`);
  }

  #pump(): void {
    const c = this.connection!;
    const { plan } = this;
    while (!this.#ended && !this.isClosed && !this.#blocked && this.sent < plan.total) {
      const size = plan.writeLeast + this.sent % (plan.writeMost - plan.writeLeast + 1);
      const length = Math.min(size, plan.total - this.sent, this.#out.contiguous(this.sent));
      const space = c.writeSpace;
      const taken = c.write(this.#out.bytes, this.#out.position(this.sent), length);
      if (taken !== Math.min(space, length)) this.#fail(`Wrote ${taken} of ${length} bytes into ${space}`);
      this.sent += taken;
      if (taken < length) {
        // A connection that was reset but has not said so yet takes nothing, and will never be writable.
        if (c.state === State.Closed) return;
        this.#blocked = true;
        return;
      }
      if (plan.writeGap > 0 && this.sent < plan.total) {
        if (this.#writeTimer) return;
        this.#writeTimer = true;
        this.#world.after(plan.writeGap, () => {
          this.#writeTimer = false;
          this.#pump();
        });
        return;
      }
    }
    if (this.sent === plan.total && !this.#ended && !this.isClosed) this.#wroteAll();
  }

  #wroteAll(): void {
    switch (this.plan.ending) {
      case "half-close":
      case "finish":
        if (this.#said) return;
        this.#said = true;
        this.#world.note(`${this.name} closes its direction`);
        this.connection!.closeWrite();
        if (this.finishedTold && this.plan.ending === "half-close") this.#close();
        return;
      case "follow":
        if (this.finishedTold) this.#close();
        return;
      case "close":
        this.#close();
        return;
    }
  }

  #close(): void {
    if (this.#ended || this.isClosed) return;
    this.#ended = true;
    this.#world.note(`${this.name} closes`);
    this.connection!.close();
  }

  #endEarly(): void {
    if (this.#ended || this.isClosed) return;
    this.#ended = true;
    this.#world.note(`${this.name} ends early: ${this.plan.ending}`);
    if (this.plan.ending === "abort") this.connection!.abort();
    else this.connection!.close();
  }

  #verify(bytes: Bytes, offset: number, length: number): void {
    if (length === 0) return;
    const right = this.#in.matches(this.received, bytes, offset, length);
    const other = this.pair.sides[1 - this.#index]!;
    if (right < length) this.#fail(`Received a wrong byte at ${this.received + right}`);
    this.received += length;
    if (this.received > other.sent) {
      this.#fail(`Received ${this.received} bytes where ${other.sent} were sent`);
    }
    this.#world.progress();
  }

  #readLater(): void {
    if (this.#readTimer) return;
    this.#readTimer = true;
    this.#world.after(this.plan.readGap + this.#idle, () => this.#readNow());
  }

  #readNow(): void {
    this.#readTimer = false;
    const c = this.connection!;
    if (this.isClosed || this.#ended) return;
    if (this.plan.reading !== "timer") {
      c.resume();
      return;
    }
    const waiting = c.readable;
    const most = Math.min(this.plan.readChunk, scratch.length);
    const taken = c.read(scratch, 0, most);
    if (taken !== Math.min(waiting, most)) this.#fail(`Read ${taken} of ${waiting} bytes`);
    this.#verify(scratch, 0, taken);
    // Who finds nothing comes back later.
    this.#idle = taken > 0 ? 0 : Math.min(2 * this.#idle + 100, 1_000_000);
    if (!this.finishedTold) this.#readLater();
  }
}
