/**
 * What happens on one connection, event by event, for people and for tools: switched on with `Connection.trace`, or for
 * all new connections with `Tcp.tracer`. A connection that is not traced pays one comparison a segment, and nothing is allocated.
 *
 * Every event is a plain object of numbers, strings and lists, so that `JSON.stringify(event)` is one line of a log (in
 * the manner of qlog's). Sequence numbers count from the sender's first; windows of congestion are in segments,
 * everything else in bytes; times are µs of the stack's clock.
 *
 * @module
 */

import { before } from "./sequence.ts";
import * as wire from "../wire/tcp.ts";
import { State } from "./api.ts";
import type { TcpConnection } from "./connection.ts";
import { Recovery } from "./connection_state.ts";
import type { Segment } from "./input.ts";

/** What a traced segment says. */
export interface TraceSegment {
  /** As tcpdump writes them: S, F, R, P, U, E, W, and `.` for ACK. */
  flags: string;
  /** Of its first byte, from the sender's initial number. */
  sequence: number;
  /** From the receiver's initial number; 0 without ACK. */
  acknowledgment: number;
  /** Bytes of payload; those of a super-segment in one. */
  length: number;
  /** Bytes that its sender is ready to take. */
  window: number;
}

/** Why something was sent again. */
export type RetransmissionReason =
  /** A SYN, or the data that went with it, was not acknowledged. */
  | "handshake"
  /** It was found lost: by SACK, RACK or duplicate ACKs. */
  | "loss"
  /** The retransmission timer had expired. */
  | "timeout"
  /** To probe for a lost tail (RFC 8985, section 7). */
  | "probe";

/** One event of a connection. `time` is in µs. */
export type TraceEvent =
  & {
    /** When, in µs of the stack's clock. */
    time: number;
  }
  & (
    | { name: "started"; local: string; localPort: number; remote: string; remotePort: number; state: string }
    | { name: "state"; from: string; to: string }
    | ({ name: "sent" } & TraceSegment)
    | ({ name: "received"; marked: boolean; sack: [number, number][] } & TraceSegment)
    | { name: "retransmitted"; sequence: number; length: number; reason: RetransmissionReason }
    | { name: "timeout"; timeouts: number; rto: number }
    | { name: "probe"; sequence: number }
    | { name: "recovery"; from: string; to: string; inFlight: number; lost: number }
    | { name: "undone"; cwnd: number; ssthresh: number }
    | { name: "cwnd"; cwnd: number; ssthresh: number; inFlight: number }
    | { name: "pacing"; rate: number }
    | { name: "rtt"; latest: number; smoothed: number; variation: number; least: number; rto: number }
    | { name: "mss"; mss: number }
    | { name: "window"; window: number }
    | { name: "zero_window"; side: "peer" | "own" }
    | { name: "ended"; error: string | null }
  );

/** Gets the events, synchronously, in their order. It must not call the connection. What it throws ends the trace. */
export type TraceHandler = (event: TraceEvent) => void;

const STATES: Record<State, string> = {
  [State.Closed]: "closed",
  [State.Listen]: "listen",
  [State.SynSent]: "syn_sent",
  [State.SynReceived]: "syn_received",
  [State.Established]: "established",
  [State.FinWait1]: "fin_wait_1",
  [State.FinWait2]: "fin_wait_2",
  [State.CloseWait]: "close_wait",
  [State.Closing]: "closing",
  [State.LastAck]: "last_ack",
  [State.TimeWait]: "time_wait",
};

const RECOVERIES: Record<Recovery, string> = {
  [Recovery.Open]: "open",
  [Recovery.Reduced]: "reduced",
  [Recovery.Fast]: "fast",
  [Recovery.Loss]: "loss",
};

const FLAGS: [bit: number, letter: string][] = [
  [wire.SYN, "S"],
  [wire.FIN, "F"],
  [wire.RST, "R"],
  [wire.PSH, "P"],
  [wire.URG, "U"],
  [wire.ECE, "E"],
  [wire.CWR, "W"],
  [wire.AE, "A"],
  [wire.ACK, "."],
];

function flagText(flags: number): string {
  let text = "";
  for (const [bit, letter] of FLAGS) if (flags & bit) text += letter;
  return text;
}

/** Tells a handler what happens on a connection: segments as they pass, and what has changed after each step. */
export class Tracer {
  readonly #c: TcpConnection;
  #handler: TraceHandler | null;
  // What was told last.
  #state: State;
  #recovery: Recovery = Recovery.Open;
  #cwnd = 0;
  #ssthresh = 0;
  #pacingRate = 0;
  #latest = 0;
  #smoothed = 0;
  #mss = 0;
  #window = -1;
  #ownZero = false;

  /** Begins with `started`. */
  constructor(c: TcpConnection, handler: TraceHandler) {
    this.#c = c;
    this.#handler = handler;
    this.#state = c.state;
    const { local, localPort, remote, remotePort } = c;
    this.#tell({
      time: c.tcp.stack.now,
      name: "started",
      local: `${local}`,
      localPort,
      remote: `${remote}`,
      remotePort,
      state: STATES[c.state],
    });
  }

  #tell(event: TraceEvent): void {
    if (this.#handler === null) return;
    event.time = Math.floor(event.time);
    try {
      this.#handler(event);
    } catch (error) {
      this.#handler = null;
      this.#c.tracer = null;
      const { tcp } = this.#c;
      tcp.counters.handlerErrors++;
      tcp.stack.report(
        error,
        `Trace of the TCP connection with ${this.#c.remote} port ${this.#c.remotePort}`,
      );
    }
  }

  /** A segment has come. */
  received(s: Segment, now: number): void {
    const c = this.#c;
    const syn = (s.flags & wire.SYN) !== 0;
    const { options } = s;
    const sack: [number, number][] = [];
    for (let i = 0; i < options.sackBlocks; i++) {
      sack.push([options.sack[2 * i]! - c.iss >>> 0, options.sack[2 * i + 1]! - c.iss >>> 0]);
    }
    this.#tell({
      time: now,
      name: "received",
      flags: flagText(s.flags),
      // Before its first SYN there is nothing to count from.
      sequence: syn && c.state === State.SynSent ? 0 : s.sequence - c.irs >>> 0,
      acknowledgment: s.flags & wire.ACK ? s.acknowledgment - c.iss >>> 0 : 0,
      length: s.length,
      window: syn ? s.window : s.window << c.sndShift,
      marked: s.ecn === 3,
      sack,
    });
  }

  /** A segment goes to IP. @param window The field in its header. */
  sent(sequence: number, flags: number, length: number, window: number): void {
    const c = this.#c;
    const now = c.tcp.stack.now;
    this.changed(now);
    const bytes = flags & wire.SYN ? window : window << c.rcvShift;
    this.#tell({
      time: now,
      name: "sent",
      flags: flagText(flags),
      sequence: sequence - c.iss >>> 0,
      acknowledgment: flags & wire.ACK ? c.rcvNxt - c.irs >>> 0 : 0,
      length,
      window: bytes,
    });
    const zero = bytes === 0 && (flags & (wire.RST | wire.SYN)) === 0;
    if (zero && !this.#ownZero) this.#tell({ time: now, name: "zero_window", side: "own" });
    this.#ownZero = zero;
  }

  /** Something is about to be sent again. */
  retransmitted(sequence: number, length: number, syn: boolean): void {
    const c = this.#c;
    const reason = syn || before(c.sndUna, c.iss + 2 | 0) && c.fastOpen?.sentData === true
      ? "handshake"
      : c.probing && c.recovery === Recovery.Open
      ? "probe"
      : c.recovery === Recovery.Loss
      ? "timeout"
      : "loss";
    const now = c.tcp.stack.now;
    this.changed(now);
    this.#tell({ time: now, name: "retransmitted", sequence: sequence - c.iss >>> 0, length, reason });
  }

  /** The retransmission timer has expired. */
  timeout(now: number): void {
    const { rto, timeouts } = this.#c;
    this.#tell({
      time: now,
      name: "timeout",
      timeouts,
      rto: Math.round(rto * 2 ** Math.min(timeouts, 16)),
    });
  }

  /** A tail loss probe is about to be sent. */
  probe(now: number): void {
    this.#tell({ time: now, name: "probe", sequence: this.#c.sndNxt - this.#c.iss >>> 0 });
  }

  /** A recovery was needless. */
  undone(): void {
    const { cwnd, ssthresh, tcp } = this.#c;
    this.#tell({ time: tcp.stack.now, name: "undone", cwnd, ssthresh });
  }

  /** The connection is known to the stack no more, or left to TIME-WAIT. */
  ended(): void {
    const { error, tcp } = this.#c;
    this.changed(tcp.stack.now);
    this.#tell({ time: tcp.stack.now, name: "ended", error: error === null ? null : error.message });
  }

  /** Tells what is not as it was. */
  changed(now: number): void {
    const c = this.#c;
    if (c.state !== this.#state) {
      const from = STATES[this.#state], to = STATES[c.state];
      this.#state = c.state;
      this.#tell({ time: now, name: "state", from, to });
    }
    if (c.recovery !== this.#recovery) {
      const from = RECOVERIES[this.#recovery], to = RECOVERIES[c.recovery];
      this.#recovery = c.recovery;
      this.#tell({ time: now, name: "recovery", from, to, inFlight: c.inFlight, lost: c.lostOut });
    }
    if (c.latestRtt !== this.#latest || c.srtt !== this.#smoothed) {
      const { latestRtt, srtt, mdev, minRtt, rto } = c;
      this.#latest = latestRtt;
      this.#smoothed = srtt;
      this.#tell({
        time: now,
        name: "rtt",
        latest: Math.round(latestRtt),
        smoothed: Math.round(srtt),
        variation: Math.round(mdev),
        least: minRtt === Infinity ? 0 : Math.round(minRtt),
        rto: Math.round(rto),
      });
    }
    if (c.cwnd !== this.#cwnd || c.ssthresh !== this.#ssthresh) {
      const { cwnd, ssthresh, inFlight } = c;
      this.#cwnd = cwnd;
      this.#ssthresh = ssthresh;
      this.#tell({ time: now, name: "cwnd", cwnd, ssthresh, inFlight });
    }
    if (c.pacingRate !== this.#pacingRate) {
      this.#pacingRate = c.pacingRate;
      this.#tell({ time: now, name: "pacing", rate: Math.round(c.pacingRate) });
    }
    if (c.mss !== this.#mss) {
      this.#mss = c.mss;
      this.#tell({ time: now, name: "mss", mss: c.mss });
    }
    if (c.sndWnd !== this.#window) {
      const first = this.#window < 0;
      this.#window = c.sndWnd;
      if (first && c.sndWnd === 0) return;
      this.#tell({ time: now, name: "window", window: c.sndWnd });
      if (c.sndWnd === 0 && c.state !== State.Closed) {
        this.#tell({ time: now, name: "zero_window", side: "peer" });
      }
    }
  }
}
