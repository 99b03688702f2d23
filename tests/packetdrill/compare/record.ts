/**
 * Recordings of scripts, read back.
 *
 * @module
 */

import { runFile, verdictText } from "../runner/file_runner.ts";

/** A line of a recording. */
export interface Line {
  /** When it happened, in µs from the start. */
  at: number;
  /** What stands behind its time. */
  text: string;
}

/** A segment that was sent. */
export interface Sent {
  at: number;
  flags: string;
  start: number;
  end: number;
  length: number;
  ack: number;
  /** The timestamp, as the script counts; null without one. */
  stamp: number | null;
}

/** Runs a script on this stack. @returns What it recorded, and what its code blocks printed. */
export function recordOurs(text: string): { recording: string[]; printed: string[] } {
  const lines: string[] = [];
  const verdict = runFile("script", [["record", "yes"]], () => text, {
    print: (line) => lines.push(line),
    warn: (message) => lines.push(`// ${message}`),
  });
  if (verdict.failure !== null) throw new Error(`${verdictText(verdict)}\n${text}`);
  return separate(lines);
}

/** Tells what code blocks printed from the recording. */
export function separate(lines: string[]): { recording: string[]; printed: string[] } {
  const printed = lines.filter((line) => line.startsWith("INFO "));
  return { recording: lines.filter((line) => !line.startsWith("INFO ")), printed };
}

/** Lines with absolute times. */
export function linesOf(recording: readonly string[]): Line[] {
  let at = 0;
  const lines: Line[] = [];
  for (const line of recording) {
    const match = /^\s*(\+?)(\d*\.?\d+)(?:\.\.\.\S+)? (.*)$/.exec(line);
    if (match === null) continue;
    at = Math.round((match[1] === "+" ? at : 0) + Number(match[2]) * 1e6);
    lines.push({ at, text: match[3]! });
  }
  return lines;
}

/** The segments of ours in a recording. */
export function sentIn(recording: readonly string[]): Sent[] {
  const sent: Sent[] = [];
  for (const { at, text } of linesOf(recording)) {
    const match = /^> (?:\[\S+\] )?(\S+) (\d+):(\d+)\((\d+)\)(?: ack (\d+))?/.exec(text);
    if (match === null) continue;
    const stamp = /TS val (\d+)/.exec(text);
    const [, flags, start, end, length, ack] = match;
    sent.push({
      at,
      flags: flags!,
      start: Number(start),
      end: Number(end),
      length: Number(length),
      ack: Number(ack ?? 0),
      stamp: stamp === null ? null : Number(stamp[1]),
    });
  }
  return sent;
}
