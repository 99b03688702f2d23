/**
 * Records as multicast DNS compares them, and those that are ours.
 *
 * @module
 */

import { encodeMessage } from "../dns/message.ts";
import { lowerName } from "../dns/names.ts";
import { type DnsRecord, typeNumber } from "../dns/records.ts";

/** Seconds for which records with a host's name or address are good, and the others (RFC 6762, section 10). */
export const HOST_TTL = 120, OTHER_TTL = 4500;

/** A record that one link is told. */
export class OwnRecord {
  /** What is told. */
  readonly record: DnsRecord;
  /** Whether nobody else may have records of this name and type. */
  readonly unique: boolean;
  /** When the group was told last, in µs. */
  sentAt = -Infinity;
  /** Identifies name, type and data. */
  readonly key: string;

  /** Makes it. @param record What is told. @param unique Whether it is ours alone. */
  constructor(record: DnsRecord, unique: boolean) {
    this.record = unique ? { ...record, flush: true } : record;
    this.unique = unique;
    this.key = recordKey(record);
  }
}

/** Identifies a name and type. */
export function questionKey(name: string, type: string): string {
  return `${type} ${lowerName(name)}`;
}

/** Identifies name, type and data; names in any case. */
export function recordKey({ name, type, data }: DnsRecord): string {
  return `${questionKey(name, type)} ${dataKey(data)}`;
}

function dataKey(data: unknown): string {
  if (typeof data === "string") return lowerName(data);
  if (data instanceof Uint8Array) {
    return Array.from(data, (byte) => byte.toString(16).padStart(2, "0")).join("");
  }
  if (Array.isArray(data)) return data.map(dataKey).join(",");
  const parts = Object.entries(data as Record<string, unknown>);
  return parts.sort(([one], [other]) => one < other ? -1 : 1)
    .map(([name, value]) => `${name}=${Array.isArray(value) ? value.join("/") : dataKey(String(value))}`)
    .join(";");
}

/** The data's bytes, without compression. */
export function dataBytes(record: DnsRecord): Uint8Array {
  const { length } = encodeMessage({ questions: [{ name: record.name, type: record.type }] });
  // Behind the header and the name, which a question has too: type, class, lifetime and length.
  return encodeMessage({ answers: [record] }).subarray(length - 4 + 10);
}

/**
 * Which of two sets of records wins a name when both ask for it at a time (RFC 6762, section 8.2.1).
 *
 * @returns More than 0 when `ours` is later, which wins; 0 when they are the same.
 */
export function compareSets(ours: readonly DnsRecord[], theirs: readonly DnsRecord[]): number {
  const mine = ours.map(sortable).sort(compareOne), others = theirs.map(sortable).sort(compareOne);
  for (let i = 0; i < mine.length && i < others.length; i++) {
    const order = compareOne(mine[i]!, others[i]!);
    if (order !== 0) return order;
  }
  return mine.length - others.length;
}

type Sortable = readonly [type: number, data: Uint8Array];

function sortable(record: DnsRecord): Sortable {
  return [typeNumber(record.type), dataBytes(record)];
}

function compareOne([type, data]: Sortable, [otherType, otherData]: Sortable): number {
  if (type !== otherType) return type - otherType;
  for (let i = 0; i < data.length && i < otherData.length; i++) {
    if (data[i] !== otherData[i]) return data[i]! - otherData[i]!;
  }
  return data.length - otherData.length;
}
