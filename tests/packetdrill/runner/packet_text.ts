/**
 * Packets as text, the way that scripts write them.
 *
 * @module
 */

import { ANY, type TcpOption } from "./ast.ts";

/** Flags in the order in which they are written; the letter and its bit. */
const LETTERS: [string, number][] = [
  ["S", 0x02],
  ["F", 0x01],
  ["R", 0x04],
  ["P", 0x08],
  ["E", 0x40],
  ["W", 0x80],
  ["U", 0x20],
  ["A", 0x100],
  [".", 0x10],
];

/** Bits of `S.`, `FP.`, `-`, or null when a letter means nothing. A digit 0 to 7 is the ACE field of AccECN. */
export function flagsOf(text: string): number | null {
  if (text === "-") return 0;
  let flags = 0;
  for (const letter of text) {
    if (letter >= "0" && letter <= "7") {
      const ace = Number(letter);
      flags |= (ace & 4 ? 0x100 : 0) | (ace & 2 ? 0x80 : 0) | (ace & 1 ? 0x40 : 0);
      continue;
    }
    const known = LETTERS.find(([name]) => name === letter);
    if (known === undefined) return null;
    flags |= known[1];
  }
  return flags;
}

/** The letters of flag bits. */
export function flagsText(flags: number): string {
  const text = LETTERS.filter(([, bit]) => flags & bit).map(([letter]) => letter).join("");
  return text === "" ? "-" : text;
}

/** One option. */
export function optionText(option: TcpOption): string {
  const hex = (bytes: Uint8Array) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  switch (option.kind) {
    case "nop":
    case "eol":
    case "sackOK":
      return option.kind;
    case "mss":
    case "wscale":
      return `${option.kind} ${option.value}`;
    case "sack":
      return `sack ${option.blocks.map(([left, right]) => `${left}:${right}`).join(" ")}`;
    case "TS":
      return `TS val ${option.value === ANY ? "..." : option.value} ecr ${
        option.echo === ANY ? "..." : option.echo
      }`;
    case "signature":
      return `md5 "${option.key}"`;
    case "FO":
      return `${option.experimental ? "FOEXP" : "FO"} ${hex(option.cookie)}`.trim();
    case "ECN":
      return ["ECN", ...option.counters.map(([name, bytes]) => `${name} ${bytes}`)].join(" ");
    case "raw":
      return `raw ${option.type} ${hex(option.bytes)}`.trim();
  }
}

/** What a TCP segment says, by a script's numbers. */
export interface SegmentText {
  flags: number;
  sequence: number;
  length: number;
  acknowledgment: number | null;
  window: number | null;
  urgent: number | null;
  options: TcpOption[] | null;
}

const ECN_NAMES = ["noecn", "ect1", "ect0", "ce"];

/** A segment, as a script would write it. @param ecn Its ECN bits, or null to leave them out. */
export function segmentText(s: SegmentText, ecn: number | null = null): string {
  const parts = [];
  if (ecn !== null) parts.push(`[${ECN_NAMES[ecn & 3]}]`);
  const end = (s.sequence + s.length) >>> 0;
  parts.push(flagsText(s.flags), `${s.sequence >>> 0}:${end}(${s.length})`);
  if (s.acknowledgment !== null && s.flags & 0x10) parts.push(`ack ${s.acknowledgment >>> 0}`);
  if (s.window !== null) parts.push(`win ${s.window}`);
  if (s.urgent !== null && s.flags & 0x20) parts.push(`urg ${s.urgent}`);
  if (s.options === null) parts.push("<...>");
  else if (s.options.length > 0) parts.push(`<${s.options.map(optionText).join(",")}>`);
  return parts.join(" ");
}
