/**
 * Tells what happens under a script as a script: its own steps, with the packets and results that came.
 *
 * @module
 */

import type { Step } from "./ast.ts";
import type { Captured } from "./codec.ts";
import { segmentText } from "./packet_text.ts";
import type { Peer } from "./peer.ts";

/** µs up to which a packet came at once, in real time. */
const AT_ONCE = 8000;

/** µs that calls and packets take in virtual time, a few of them in a row. */
const CALLS_TIME = 500;

/** Writes a script. */
export class Recorder {
  readonly #peer: Peer;
  readonly #windows: boolean;
  readonly #slack: number;
  readonly #exact: boolean;
  readonly #print: (line: string) => void;
  /** Time of the line before, in µs. */
  #at = 0;
  #lines: string[] = [];
  /** Where the call under way stands in them. */
  #call = 0;
  /** Packets of the queue that were told. */
  readonly #told = new Set<Captured>();

  /**
   * @param windows Whether to tell windows. @param real Whether times are real ones, which are rounded.
   * @param exact Whether to tell of steps when they were done, and not when they were due.
   */
  constructor(peer: Peer, windows: boolean, real: boolean, exact: boolean, print: (line: string) => void) {
    this.#peer = peer;
    this.#windows = windows;
    this.#exact = exact;
    this.#slack = exact ? 0 : real ? AT_ONCE : CALLS_TIME;
    this.#print = print;
  }

  /** When a line happens, relative to the one before. */
  #time(at: number, slack: number): string {
    const after = at - this.#at;
    if (after <= slack) return "     +0";
    this.#at = at;
    const text = String(Number((after / 1e6).toFixed(slack > 0 ? 3 : 6))).replace(/^0(?=\.)/, "");
    return `+${text}`.padStart(7);
  }

  /** Prints what was told. */
  flush(): void {
    for (const line of this.#lines) this.#print(line);
    this.#lines = [];
  }

  /** Tells packets that came up to a moment. */
  packets(queue: Captured[], until: number): void {
    for (const packet of queue) {
      if (packet.time > until || this.#told.has(packet)) continue;
      this.#told.add(packet);
      this.#lines.push(`${this.#time(packet.time, this.#slack)} > ${this.#text(packet)}`);
    }
  }

  #text(packet: Captured): string {
    const { body } = packet;
    const flow = this.#peer.flowOfSent(packet);
    if (body.protocol === "icmp") return `icmp ${body.type} ${body.code} (${body.rest})`;
    if (body.protocol === "udp" || flow === null) return `udp (${packet.length})`;
    if (body.flags & 2 || (flow.offset === null && (body.flags & 4) === 0)) flow.offset = body.sequence;
    const stamp = body.options.find((option) => option.kind === "TS");
    if (stamp?.kind === "TS" && !flow.stamped) flow.noteStamp(100, stamp.value);
    const told = flow.describe(packet);
    if (!this.#windows) told.window = null;
    const ecn = packet.ip.trafficClass & 3;
    return segmentText(told, ecn === 0 ? null : ecn);
  }

  /** Tells a step that is about to be done. @param at When it is due. */
  step(step: Step, at: number): void {
    if (step.action.kind === "command" || step.text.startsWith("%")) {
      this.#lines.push(step.text);
      return;
    }
    this.#lines.push(`${this.#when(step, at)} ${withoutTime(step.text)}`);
    if (step.action.kind === "call") this.#call = this.#lines.length - 1;
  }

  #when(step: Step, at: number): string {
    if (this.#exact || step.when.kind !== "at" || step.when.relative) return this.#time(at, 0);
    this.#at = at;
    return step.text.slice(0, step.text.search(/\.\.\.|\s/)).padStart(7);
  }

  /** Tells what the last call has returned. @param after How long after its start, in µs. */
  result(step: Step, got: string, after: number, mismatch: string | null): void {
    if (step.action.kind !== "call") return;
    let line = this.#lines[this.#call]!.replace(/=[^=]*$/, `= ${got}`);
    if (step.action.call.end !== null) {
      line = line.replace(/^(\s*\S+) /, `$1...${Number((after / 1e6).toFixed(3))} `);
    }
    this.#lines[this.#call] = mismatch === null ? line : `${line}  // ${mismatch}`;
  }

  /** Tells what is not as the script says. */
  note(message: string): void {
    this.#lines.push(`// ${message}`);
  }
}

const SECONDS = String.raw`\+?(?:\d+(?:\.\d+)?|\.\d+)`;
const TIMES = new RegExp(`^(?:\\*|${SECONDS}(?:~${SECONDS})?(?:\\.\\.\\.${SECONDS})?)\\s*`);

/** What a step is without its times. */
function withoutTime(text: string): string {
  return text.replace(TIMES, "");
}
