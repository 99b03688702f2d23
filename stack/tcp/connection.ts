/**
 * One connection: the verbs its application uses. What it remembers is in `connection_state.ts`; what arrives is worked
 * on in `input.ts`, what is sent in `output.ts`, what was lost in `recovery.ts`.
 *
 * @module
 */

import { StackError, type StackErrorCode } from "../errors.ts";
import type { IpAddress } from "../ip/address.ts";
import type { Bytes } from "../packet.ts";
import type { Timer } from "../timer_wheel.ts";
import type { Connection } from "./api.ts";
import { State } from "./api.ts";
import { measureTaken, tuneReceiveBuffer } from "./buffer_tuning.ts";
import type { RateState } from "./congestion.ts";
import { ConnectionState, Limit, Recovery } from "./connection_state.ts";
import { drop, enterOrphans, orphaned, reset } from "./ending.ts";
import { type TcpInfo, tcpInfo } from "./info.ts";
import { sendQuantum } from "./pacing.ts";
import { closePiece, written } from "./pieces.ts";
import { type TraceHandler, Tracer } from "./trace.ts";
import { expireTimers } from "./timers.ts";

/** One connection. Everything but the verbs of {@link Connection} is for the TCP layer. */
export class TcpConnection extends ConnectionState implements Connection, RateState {
  get local(): IpAddress {
    return this.path.source;
  }

  get remote(): IpAddress {
    return this.path.destination;
  }

  /** Segments in the network, as far as is known. */
  get inFlight(): number {
    return this.packetsOut - this.sackedOut - this.lostOut + this.retransOut;
  }

  get repairing(): boolean {
    return this.recovery >= Recovery.Fast;
  }

  get sendQuantum(): number {
    return sendQuantum(this);
  }

  /** Whether data may still be written. */
  get writable(): boolean {
    return !this.finQueued && this.state >= State.SynSent && this.state <= State.CloseWait &&
      this.state !== State.FinWait1 && this.state !== State.FinWait2;
  }

  /** Whether it still waits for the handshake, and its data as well. */
  get connecting(): boolean {
    return this.state === State.SynSent || (this.state === State.SynReceived && !this.passiveFastOpen);
  }

  /** Whether a SYN's data was taken, and the handshake's last ACK is still to come (RFC 7413, section 4.2.2). */
  get passiveFastOpen(): boolean {
    return this.fastOpen !== null && this.fastOpen.pending;
  }

  get writeSpace(): number {
    return this.writable ? Math.max(0, this.sendLimit - this.sendQueued) : 0;
  }

  get unacknowledged(): number {
    return this.sendQueued;
  }

  write(bytes: Bytes, offset: number, length: number): number {
    const taken = Math.min(length, this.writeSpace);
    if (taken < length) this.writeBlocked = this.writable;
    if (taken === 0) return 0;
    let ring = this.sendRing;
    const needed = this.sendQueued + taken;
    // Twice what is needed, so that a stream of small writes does not copy the ring at each.
    if (needed > ring.capacity) {
      const room = Math.min(Math.max(needed, ring.capacity * 2), ceiling(this.sendLimit));
      this.sendRing = ring = ring.grow(room, this.sendQueued);
    }
    ring.put(this.sendQueued, bytes, offset, taken);
    written(this, this.sendBase + this.sendQueued | 0, taken);
    this.sendQueued += taken;
    this.tcp.markDirty(this);
    return taken;
  }

  read(target: Bytes, offset: number, length: number): number {
    const taken = Math.min(length, this.readable);
    if (taken === 0) return 0;
    this.receiveRing.copyTo(0, target, offset, taken);
    this.consumed(taken);
    return taken;
  }

  /** The application has taken `bytes` bytes from the head of the receive ring. */
  consumed(bytes: number): void {
    this.receiveRing.advance(bytes);
    this.readable -= bytes;
    if (this.receiveMemory !== null) this.receiveMemory.taken(this, bytes, this.tcp.stack.now);
    else if (this.receiveLimit < this.receiveMost) tuneReceiveBuffer(this, this.tcp.stack.now);
    measureTaken(this, this.tcp.stack.now);
    if (this.readable === 0) {
      if (this.assembler === null || this.assembler.count === 0) this.receiveRing = this.receiveRing.free();
      if (this.finReceived && !this.finishedTold) this.resume();
    }
    // Who reads everything waits for what comes next: the peer should not wait for a timer (as Linux has it).
    const eager = this.readable === 0 && this.unacked > 0 && this.smallSegments > (this.interactive ? 1 : 0);
    if (eager || this.unacked > this.rcvMss || this.windowUpdateDue()) {
      this.ackNow = true;
      this.tcp.markDirty(this);
    }
  }

  resume(): void {
    this.paused = false;
    // It may have ended before it had a handler.
    if (this.closeDue) this.tcp.markDirty(this);
    if (this.readable > 0 || (this.finReceived && !this.finishedTold)) {
      this.offerDue = true;
      this.tcp.markDirty(this);
    }
  }

  closeWrite(): void {
    if (this.finQueued || this.state === State.Closed) return;
    this.finQueued = true;
    this.writeBlocked = false;
    this.tcp.markDirty(this);
  }

  close(): void {
    if (this.orphan) return;
    if (this.state === State.Closed) {
      this.#discard();
      return;
    }
    if (this.state === State.SynSent) {
      drop(this, null);
      return;
    }
    this.orphan = true;
    const over = this.state === State.TimeWait;
    const refused = this.readable > this.lent || this.linger === 0 ||
      (this.state === State.FinWait2 && this.finTimeout < 0);
    if (refused && !over) {
      reset(this, null);
      return;
    }
    if (!over && !enterOrphans(this)) return;
    this.closeWrite();
    if (this.state === State.FinWait2) {
      orphaned(this);
    } else if (this.linger < Infinity && !over) {
      this.lifeTimerAt = this.tcp.stack.now + this.linger;
      this.schedule();
    }
    this.tcp.markDirty(this);
  }

  info(): TcpInfo {
    return tcpInfo(this);
  }

  trace(handler: TraceHandler | null): void {
    this.tracer = null;
    if (handler !== null) this.tracer = new Tracer(this, handler);
  }

  abort(): void {
    if (this.state === State.Closed) {
      this.#discard();
      return;
    }
    reset(this, this.failure("ConnectionAborted", "Connection was aborted"));
  }

  /** Nobody wants what has outlived the connection. */
  #discard(): void {
    this.orphan = true;
    this.readable = 0;
    this.receiveRing = this.receiveRing.free();
    if (this.closeDue) this.tcp.markDirty(this);
  }

  /** What is written from now on begins a segment of its own: no segment holds bytes of both sides. */
  endRecord(): void {
    this.keepsRecords = true;
    closePiece(this);
  }

  get keepAlive(): number {
    return this.keepAliveIdle;
  }

  set keepAlive(idle: number) {
    this.keepAliveIdle = idle;
    this.keepAliveProbes = 0;
    this.keepAliveAt = idle > 0 ? this.tcp.stack.now + idle : Infinity;
    this.schedule();
  }

  /** Notes what sending waits for from now on. */
  limitedBy(limit: Limit, now: number): void {
    if (limit === this.limit) return;
    const time = now - this.limitSince;
    if (this.limit === Limit.Network) this.networkTime += time;
    else if (this.limit === Limit.Window) this.windowTime += time;
    else if (this.limit === Limit.Buffer) this.bufferTime += time;
    this.limit = limit;
    this.limitSince = now;
  }

  /** The window to offer from RCV.NXT, in bytes: never less than was offered (RFC 9293, section 3.8.6). */
  get receiveWindow(): number {
    if (this.receiveMemory !== null) return this.receiveMemory.window(this);
    const offered = this.rcvAdv - this.rcvNxt | 0;
    const limit = Math.min(this.receiveLimit, this.windowClamp);
    const room = Math.min(this.receiveLimit - this.readable, limit);
    if (room - offered >= Math.min(this.rcvMss, limit >> 1)) return room;
    return offered > 0 ? offered : 0;
  }

  /** Whether so much room came free that the peer should hear of it without asking. */
  windowUpdateDue(): boolean {
    if (this.finReceived) return false;
    if (this.receiveMemory !== null) return this.receiveMemory.updateDue(this);
    const offered = Math.max(0, this.rcvAdv - this.rcvNxt | 0);
    const limit = Math.min(this.receiveLimit, this.windowClamp);
    const room = Math.min(this.receiveLimit - this.readable, limit);
    return offered < limit >> 1 && room - offered >= Math.min(2 * this.rcvMss, limit >> 1);
  }

  /** Arms the one timer for whatever is due first. A deadline that moved away is looked at when the old one comes. */
  schedule(): void {
    let due = this.sendTimerAt;
    if (this.ackTimerAt < due) due = this.ackTimerAt;
    if (this.lifeTimerAt < due) due = this.lifeTimerAt;
    if (this.keepAliveAt < due) due = this.keepAliveAt;
    if (this.paceTimerAt < due) due = this.paceTimerAt;
    if (due < this.timer.deadline) this.tcp.stack.timers.arm(this.timer, due);
  }

  expire(_timer: Timer, now: number): void {
    expireTimers(this, now);
    if (this.tracer !== null) this.tracer.changed(now);
    if (this.state !== State.Closed) this.schedule();
  }

  /** @returns An error that names this connection. */
  failure(code: StackErrorCode, what: string): StackError {
    const host = (address: IpAddress) => address.version === 6 ? `[${address}]` : `${address}`;
    const { local, remote } = this;
    return new StackError(
      code,
      `${what}: ${host(local)}:${this.localPort} to ${host(remote)}:${this.remotePort}`,
    );
  }
}

/** The smallest power of two that is at least `bytes`. */
function ceiling(bytes: number): number {
  return bytes <= 1 ? 1 : 2 ** (32 - Math.clz32(bytes - 1));
}
