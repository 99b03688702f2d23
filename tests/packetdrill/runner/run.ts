/**
 * Runs one script, step by step.
 *
 * @module
 */

import {
  ANY,
  type CallSpec,
  type Expression,
  type IcmpSpec,
  type PacketSpec,
  type Script,
  type Step,
  type TcpSpec,
  type UdpSpec,
} from "./ast.ts";
import { CodeError } from "./python/lexer.ts";
import { CodeRunner } from "./python/interpreter.ts";
import { type Captured, icmpNumbers } from "./codec.ts";
import { CODE_CONSTANTS } from "./constants.ts";
import { ERRNO } from "./errno.ts";
import { type Attempt, type CallResult, SysError } from "./file.ts";
import type { Flow } from "./flow.ts";
import { difference, ipDiffers, merge, split } from "./match.ts";
import type { RunOptions } from "./options.ts";
import { Recorder } from "./recorder.ts";
import { segmentText } from "./packet_text.ts";
import { Peer } from "./peer.ts";
import { ScriptError } from "./scanner.ts";
import type { System, Talker, Watcher } from "./system.ts";
import { number, show, Unsupported } from "./values.ts";

const SYN = 2, PSH = 8, RST = 4;
/** How long a recording goes on behind the last step, in µs. */
const TAIL = 3_000_000;
/** Turns at the same time after which the stack is taken to be stuck. */
const STUCK = 10_000;

/** A call that has not returned. */
interface Pending {
  step: Step;
  call: CallSpec;
  attempt: Attempt;
  /** When it is to return, in µs from the start, or null. */
  end: number | null;
  result: CallResult | null;
  start: number;
  at: number;
}

/** A step that did not go as the script says. */
class Failure extends Error {
  readonly kind: "packet" | "syscall" | "code";

  constructor(kind: "packet" | "syscall" | "code", message: string) {
    super(message);
    this.kind = kind;
  }
}

/** Where lines go that are no verdict. */
export interface Output {
  /** What code blocks print. */
  print(line: string): void;
  /** What is passed over. */
  warn(message: string): void;
}

/** Makes what a script runs against, which reports to `watcher`. */
export type MakeSystem = (options: RunOptions, watcher: Watcher) => System;

/**
 * Runs a parsed script.
 * @throws {ScriptError} The first step that failed, and how.
 */
export function runScript(script: Script, options: RunOptions, output: Output, make: MakeSystem): void {
  const run = new Run(script, options, output, make);
  try {
    run.run();
  } finally {
    run.close();
  }
}

class Run implements Watcher {
  readonly #script: Script;
  readonly #options: RunOptions;
  readonly #output: Output;
  readonly #system: System;
  readonly #code: CodeRunner;
  readonly #peer: Peer;
  readonly #recorder: Recorder | null;
  /** Time of the step before, in µs from the start: what relative times count from. */
  #base = 0;
  #step: Step | null = null;
  #pending: Pending | null = null;
  readonly #warned = new Set<string>();

  constructor(script: Script, options: RunOptions, output: Output, make: MakeSystem) {
    this.#script = script;
    this.#options = options;
    this.#output = output;
    this.#system = make(options, this);
    this.#peer = new Peer(this.#system, options);
    this.#recorder = options.record === "no" ? null : new Recorder(
      this.#peer,
      options.record === "windows",
      this.#system.drift > 0,
      options.record === "exact",
      (line) => output.print(line),
    );
    this.#code = new CodeRunner(CODE_CONSTANTS, (line) => output.print(line));
  }

  /** µs since the start. */
  get #now(): number {
    return this.#system.now;
  }

  run(): void {
    for (const command of this.#options.initScripts) this.#system.command(command);
    for (const step of this.#script.steps) this.#guard(step, () => this.#do(step));
    const last = this.#pending;
    if (last !== null) this.#guard(last.step, () => this.#finishPending());
    if (this.#recorder !== null) {
      this.#advance(this.#now + TAIL);
      this.#recorder.packets(this.#system.queue, Infinity);
      this.#recorder.flush();
    }
    if (this.#system.errors.length > 0) throw this.#system.errors[0];
  }

  close(): void {
    this.#system.close();
  }

  /** Turns what goes wrong in a step into the script's failure. */
  #guard(step: Step, act: () => void): void {
    this.#step = step;
    try {
      act();
    } catch (error) {
      const { file, line } = step;
      if (this.#recorder !== null && (error instanceof CodeError || error instanceof Failure)) {
        this.#recorder.note(error.message);
      } else if (error instanceof Failure) {
        if (!this.#options.nonFatal.has(error.kind)) throw new ScriptError(file, line, error.message);
        this.warn(error.message);
      } else if (error instanceof CodeError) throw new ScriptError(file, line + error.line, error.message);
      else if (error instanceof Unsupported) throw new ScriptError(file, line, error.message);
      else if (error instanceof ScriptError) throw error;
      else throw new ScriptError(file, line, (error as Error).stack ?? String(error));
    }
  }

  warn(message: string): void {
    const at = this.#step === null ? this.#script.file : `${this.#step.file}:${this.#step.line}`;
    if (this.#warned.has(message)) return;
    this.#warned.add(message);
    this.#output.warn(`${at}: ${message}`);
  }

  opened(file: Talker): void {
    this.#peer.opened(file);
  }

  connected(file: Talker): void {
    this.#peer.connected(file);
  }

  /** Does everything that is due now. @returns When there is more to do, in µs from the start. */
  #settle(): number {
    for (let round = 0;; round++) {
      const deadline = this.#system.poll();
      const pending = this.#pending;
      if (pending === null || pending.result !== null) return deadline;
      pending.result = attempt(pending.attempt);
      if (pending.result === null) return Math.min(deadline, pending.attempt.deadline);
      pending.at = this.#now;
      if (round > STUCK) throw new Failure("syscall", "The stack does not come to rest");
    }
  }

  /** Lets time pass until `until` comes true or `end` is reached. */
  #advance(end: number, until: () => boolean = () => false): void {
    for (let turns = 0;; turns++) {
      const next = this.#settle();
      if (until() || (next > this.#now && this.#now >= end)) return;
      const to = Math.min(next, end);
      if (to === Infinity) return;
      if (to > this.#now) {
        this.#system.advance(to);
        turns = 0;
      } else if (turns > STUCK) throw new Failure("packet", "The stack does not come to rest");
    }
  }

  /** When a step is due: the first and the last moment, in µs from the start. */
  #due(step: Step): { from: number; to: number; scheduled: number | null } {
    const { when } = step;
    if (when.kind === "any") return { from: -Infinity, to: Infinity, scheduled: null };
    const base = when.relative ? this.#base : 0;
    if (when.kind === "range") return { from: base + when.from, to: base + when.to, scheduled: null };
    return { from: base + when.time, to: base + when.time, scheduled: base + when.time };
  }

  #do(step: Step): void {
    const due = this.#due(step);
    const { action } = step;
    if (action.kind === "packet" && !action.packet.inbound) {
      if (this.#recorder !== null) {
        // What is recorded in its place is told by itself.
        this.#base = due.scheduled ?? this.#base;
        return;
      }
      const time = this.#expect(action.packet, due.from, due.to);
      this.#base = due.scheduled ?? time;
      return;
    }
    // One call at a time: the next waits for the one before, as in packetdrill.
    if (action.kind === "call" && this.#pending !== null) this.#finishPending();
    if (due.from !== -Infinity) this.#advance(due.from);
    const base = this.#base;
    this.#recorder?.packets(this.#system.queue, this.#now);
    const at = this.#options.record === "exact" ? this.#now : due.scheduled ?? this.#now;
    this.#recorder?.step(step, at);
    this.#base = due.scheduled ?? this.#now;
    this.#settle();
    switch (action.kind) {
      case "packet":
        this.#peer.inject(action.packet);
        this.#settle();
        return;
      case "call": {
        const relative = step.when.kind === "any" || step.when.relative;
        const { end } = action.call;
        this.#call(step, action.call, end === null ? null : relative ? base + end : end);
        return;
      }
      case "command":
        this.#sleep(this.#system.command(action.text));
        return;
      case "code":
        this.#code.run(action.text, this.#peer.info());
    }
  }

  /** Lets time pass in which a command does nothing else. */
  #sleep(time: number): void {
    if (time === 0) return;
    this.#advance(this.#now + time);
    this.#base = this.#now;
  }

  // Calls.

  #call(step: Step, call: CallSpec, end: number | null): void {
    const expected = call.result.kind === "ellipsis" || call.errno !== null ? -1 : number(call.result);
    let begun: Attempt;
    try {
      begun = this.#system.call(call, expected);
    } catch (error) {
      if (!(error instanceof SysError)) throw error;
      const failed = error;
      begun = {
        deadline: Infinity,
        run: () => {
          throw failed;
        },
      };
    }
    this.#pending = { step, call, attempt: begun, end, result: null, start: this.#now, at: 0 };
    this.#settle();
    if (end === null || this.#pending.result !== null) this.#finishPending();
  }

  /** Waits for the call under way, and looks at what it returned. */
  #finishPending(): void {
    const pending = this.#pending!;
    this.#pending = pending;
    this.#step = pending.step;
    if (pending.result === null) {
      this.#advance(this.#now + this.#system.patience, () => pending.result !== null);
    }
    this.#pending = null;
    const { call, end } = pending;
    const name = `${call.name}(${call.args.map(show).join(", ")})`;
    const wanted = resultText(call);
    if (pending.result === null) {
      throw new Failure("syscall", `expected ${name} = ${wanted} got a call that never returns`);
    }
    const { value, errno, mismatch } = pending.result;
    const got = errno === null ? String(value) : `${value} ${errno} (${ERRNO[errno]?.[1] ?? "unknown"})`;
    if (this.#recorder !== null) {
      this.#recorder.result(pending.step, got, pending.at - pending.start, mismatch);
      return;
    }
    if (!resultFits(call, value, errno)) {
      throw new Failure("syscall", `expected ${name} = ${wanted} got ${got}`);
    }
    if (mismatch !== null) throw new Failure("syscall", `expected in ${name}: ${mismatch}`);
    if (end !== null && Math.abs(pending.at - end) > this.#options.tolerance) {
      throw new Failure(
        "syscall",
        `expected ${name} to return at ${seconds(end)} got ${seconds(pending.at)}`,
      );
    }
  }

  // Packets out.

  /** Waits for a packet of ours. @returns When it came, in µs from the start. */
  #expect(packet: PacketSpec, from: number, to: number): number {
    const flow = packet.body.protocol === "icmp" ? null : this.#peer.flowOf(packet);
    // A datagram of which no port is said may go to anybody.
    const anywhere = packet.body.protocol === "udp" && packet.endpoints.sourcePort === null;
    const mine = (captured: Captured) =>
      flow === null ? captured.body.protocol === "icmp" : flow.sent(captured) ||
        (anywhere && captured.body.protocol === "udp" && captured.body.sourcePort === flow.localPort);
    const { lateness, patience } = this.#system;
    const limit = Math.min(to + this.#options.tolerance + lateness, this.#now + patience);
    this.#advance(limit, () => this.#system.queue.some(mine));
    const list = this.#system.queue.filter(mine);
    const first = list[0];
    const expected = this.#packetText(packet);
    if (first === undefined) throw new Failure("packet", `expected ${expected} got nothing`);
    const used = this.#take(packet, flow, list, expected);
    const { time } = used;
    // A timer that runs for long may be late.
    const waited = Math.max(0, to - this.#base);
    const tolerance = this.#options.tolerance + waited * this.#options.tolerancePart;
    const late = waited * this.#system.drift;
    if (time < from - tolerance || time > to + tolerance + late) {
      const when = from === to ? seconds(from) : `${seconds(from)} to ${seconds(to)}`;
      throw new Failure("packet", `expected ${expected} at ${when} got it at ${seconds(time)}`);
    }
    return time;
  }

  /** Compares, and takes what was used from the queue. */
  #take(packet: PacketSpec, flow: Flow | null, list: Captured[], expected: string): Captured {
    const first = list[0]!;
    const { body } = packet;
    const remove = (count: number, rest: Captured | null) => {
      const gone = new Set(list.slice(0, count));
      const at = this.#system.queue.indexOf(first);
      this.#system.queue = this.#system.queue.filter((captured) => !gone.has(captured));
      if (rest !== null) this.#system.queue.splice(at, 0, rest);
    };
    if (body.protocol === "tcp") return this.#takeSegment(packet, body, flow!, list, expected, remove);
    remove(1, null);
    const differs = body.protocol === "udp" ? udpDiffers(body, first) : this.#icmpDiffers(body, first);
    if (differs !== null || ipDiffers(packet.ip, first) !== null) {
      throw new Failure(
        "packet",
        `expected ${expected} got ${this.#capturedText(first, flow)} (${differs ?? "IP header"})`,
      );
    }
    return first;
  }

  /** What a packet of the link holds, in bytes of payload. */
  get #largestSegment(): number {
    return this.#options.mtu - (this.#options.ipVersion === "ipv6" ? 60 : 40);
  }

  #takeSegment(
    packet: PacketSpec,
    spec: TcpSpec,
    flow: Flow,
    list: Captured[],
    expected: string,
    remove: (count: number, rest: Captured | null) => void,
  ): Captured {
    let used = list[0]!;
    let count = 1;
    let rest: Captured | null = null;
    if (used.body.protocol === "tcp" && used.body.flags & SYN && spec.flags & SYN) {
      flow.offset = used.body.sequence - spec.sequence | 0;
    } else if (flow.offset === null && used.body.protocol === "tcp" && (used.body.flags & RST) === 0) {
      flow.offset = used.body.sequence - spec.sequence | 0;
    }
    if (!this.#options.strictSegments && used.length !== spec.length) {
      const merged = merge(list, spec.length, Math.min(flow.segment, this.#largestSegment));
      const parts = merged === null ? split(used, spec.length) : null;
      if (merged !== null) {
        used = withPush(merged.packet, spec.flags);
        count = merged.count;
      } else if (parts !== null) {
        used = withPush(parts[0], spec.flags);
        rest = parts[1];
      }
    }
    remove(count, rest);
    this.#noteStamps(spec, flow, used);
    flow.last = used;
    const differs = difference(flow, spec, packet.ip, used);
    if (differs === null) {
      this.#checkStamp(spec, flow, used, expected);
      return used;
    }
    throw new Failure(
      "packet",
      `expected ${expected} got ${this.#capturedText(list[0]!, flow)} (${differs})`,
    );
  }

  /** The script may quote our timestamps by its own numbers. */
  #noteStamps(spec: TcpSpec, flow: Flow, packet: Captured): void {
    if (packet.body.protocol !== "tcp") return;
    const ours = packet.body.options.find((option) => option.kind === "TS");
    const scripts = spec.options?.find((option) => option.kind === "TS");
    if (ours?.kind === "TS" && scripts?.kind === "TS" && scripts.value !== ANY) {
      flow.noteStamp(scripts.value, ours.value);
    }
  }

  /** With --tcp_ts_tick_usecs, timestamps must go with the time. */
  #checkStamp(spec: TcpSpec, flow: Flow, packet: Captured, expected: string): void {
    const tick = this.#options.timestampTick;
    if (tick === 0 || packet.body.protocol !== "tcp") return;
    const ours = packet.body.options.find((option) => option.kind === "TS");
    const scripts = spec.options?.find((option) => option.kind === "TS");
    if (ours?.kind !== "TS" || scripts?.kind !== "TS" || scripts.value === ANY) return;
    const drift = flow.stampDrift(scripts.value, ours.value);
    if (Math.abs(drift) * tick > Math.max(this.#options.tolerance, tick)) {
      throw new Failure("packet", `expected ${expected} got a timestamp that is ${drift} ticks ahead`);
    }
  }

  #icmpDiffers(spec: IcmpSpec, packet: Captured): string | null {
    if (packet.body.protocol !== "icmp") return "protocol";
    const numbers = icmpNumbers(packet.ip.source.version, spec.type, spec.code);
    if (numbers === null) {
      throw new Unsupported(`Unknown ICMP type or code "${spec.type} ${spec.code ?? ""}"`);
    }
    if (packet.body.type !== numbers[0]) return "type";
    if (packet.body.code !== numbers[1]) return "code";
    return spec.mtu !== 0 && (packet.body.rest & 0xffff) !== spec.mtu ? "MTU" : null;
  }

  #packetText(packet: PacketSpec): string {
    const { body } = packet;
    if (body.protocol === "tcp") {
      const ecn = packet.ip.ecn === null ? "" : `[${packet.ip.ecn}] `;
      return ecn + segmentText(body);
    }
    if (body.protocol === "udp") return `udp (${body.length})`;
    return ["icmp", body.type, body.code, body.mtu > 0 ? `mtu ${body.mtu}` : null].filter((word) =>
      word !== null
    ).join(" ");
  }

  #capturedText(packet: Captured, flow: Flow | null): string {
    const { body } = packet;
    if (body.protocol === "tcp" && flow !== null) {
      const ecn = packet.ip.trafficClass & 3;
      return segmentText(flow.describe(packet), ecn === 0 ? null : ecn);
    }
    if (body.protocol === "icmp") return `icmp ${body.type} ${body.code}`;
    return `${body.protocol} (${packet.length})`;
  }
}

function withPush(packet: Captured, flags: number): Captured {
  const { body } = packet;
  if (body.protocol !== "tcp") return packet;
  return { ...packet, body: { ...body, flags: body.flags & ~PSH | flags & PSH } };
}

function udpDiffers(spec: UdpSpec, packet: Captured): string | null {
  return packet.body.protocol !== "udp" ? "protocol" : packet.length !== spec.length ? "length" : null;
}

function attempt(call: Attempt): CallResult | null {
  try {
    return call.run();
  } catch (error) {
    if (error instanceof SysError) return { value: -1, errno: error.errno, mismatch: null };
    throw error;
  }
}

function resultFits(call: CallSpec, value: number, errno: string | null): boolean {
  const expected: Expression = call.result;
  if (expected.kind === "ellipsis") return true;
  if (call.errno !== null) return errno !== null && ERRNO[call.errno]?.[0] === ERRNO[errno]?.[0];
  return number(expected) === value;
}

function resultText(call: CallSpec): string {
  return call.errno === null ? show(call.result) : `${show(call.result)} ${call.errno}`;
}

function seconds(micros: number): string {
  return `${(micros / 1e6).toFixed(6)} s`;
}
