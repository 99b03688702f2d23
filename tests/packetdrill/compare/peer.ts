/**
 * The peer of a random script: what it has sent, what it has seen of us, and segments of it, good and bad.
 *
 * @module
 */

import { recordOurs, sentIn } from "./record.ts";
import { INFO, open, type Opening, type Random, type Script } from "./script.ts";

/** One end of a script's connection. */
export class Peer {
  readonly script: Script;
  readonly opening: Opening;
  readonly random: Random;
  /** Its next sequence number. */
  next = 1;
  /** It has sent its FIN. */
  finished = false;
  /** The latest it has acknowledged. */
  acked = 1;
  /** The application has closed the file. */
  closed = false;

  constructor(random: Random, opening: Opening) {
    this.random = random;
    this.opening = opening;
    this.script = open(opening);
  }

  /** A moment a little later than the latest line, in µs. */
  soon(...milliseconds: number[]): number {
    return this.script.at + this.random.of(milliseconds) * 1000;
  }

  /** What we have sent up to a moment: one past the last sequence number. */
  highest(at: number): number {
    let highest = 1;
    for (const segment of sentIn(recordOurs(this.script.text).recording)) {
      if (segment.at > at || segment.flags.includes("S") || segment.flags.includes("R")) continue;
      highest = Math.max(highest, segment.end + (segment.flags.includes("F") ? 1 : 0));
    }
    return highest;
  }

  /** The options of a segment at a moment. @param shift Ticks by which its timestamp is off. @param extra Other options. */
  options(at: number, shift = 0, extra = ""): string {
    const stamp = this.opening.stamps
      ? `nop,nop,TS val ${Math.max(1, 1000 + Math.round(at / 1000) + shift)} ecr 100`
      : "";
    const list = [stamp, extra].filter((text) => text !== "").join(",");
    return list === "" ? "" : ` <${list}>`;
  }

  /** A segment. @param flags As scripts write them. @param ecn Its congestion bits, as scripts write them. */
  segment(
    at: number,
    flags: string,
    start: number,
    length: number,
    ack: number | null,
    { window = this.opening.window, options = this.options(at), ecn = "" } = {},
  ): void {
    const acknowledges = ack === null ? "" : ` ack ${ack}`;
    this.script.add(
      at,
      `< ${ecn}${flags} ${start}:${start + length}(${length})${acknowledges} win ${window}${options}`,
    );
  }

  /** The next data in order, or a FIN with or without it. */
  data(at: number, length: number, fin: boolean, ecn = ""): void {
    const flags = `${fin ? "F" : ""}${length > 0 && (fin || this.random.chance(50)) ? "P" : ""}.`;
    this.segment(at, flags, this.next, length, this.acked, { ecn });
    this.next += length + (fin ? 1 : 0);
    if (fin) this.finished = true;
  }

  /** Acknowledges all that we have sent. */
  acknowledge(at: number): void {
    this.acked = Math.max(this.acked, this.highest(at));
    this.segment(at, ".", this.next, 0, this.acked);
  }

  /** Asks for tcp_info, while there is a file to ask. */
  ask(percent: number): void {
    if (!this.closed && this.random.chance(percent)) this.script.add(this.script.at, INFO);
  }
}
