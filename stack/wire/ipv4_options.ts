/**
 * Options of the IPv4 header (RFC 791, section 3.1; RFC 2113 for the router alert).
 *
 * ```text
 * +--------+--------+--------+--------- - -
 * |  Type  | Length | Pointer|  Addresses      record route 7, source routes 131 and 137
 * +--------+--------+--------+--------- - -
 * +--------+--------+--------+----+----+--------- - -
 * |   68   | Length | Pointer|Over|Flag|  Timestamps
 * +--------+--------+--------+----+----+--------- - -
 *  c xx nnnnn   c: every fragment carries it
 * ```
 *
 * @module
 */

/** End of the list: one byte. */
export const END = 0;
/** Filler: one byte. */
export const NO_OPERATION = 1;
/** Record route. */
export const RECORD_ROUTE = 7;
/** Timestamps. */
export const TIMESTAMP = 68;
/** Loose source route. */
export const LOOSE_SOURCE_ROUTE = 131;
/** Strict source route. */
export const STRICT_SOURCE_ROUTE = 137;
/** Router alert. */
export const ROUTER_ALERT = 148;
/** Bit of the types that every fragment carries. */
export const COPIED = 0x80;
/** Flag of {@link TIMESTAMP}: times alone. */
export const TIMES = 0;
/** Flag of {@link TIMESTAMP}: an address before each time. */
export const ADDRESSES = 1;
/** Flag of {@link TIMESTAMP}: the sender has put addresses in, and those who have them add their times. */
export const PRESPECIFIED = 3;

/** {@link check}: in order. */
export const OPTIONS_OK = 0;

/**
 * Looks at the options of a header (RFC 1122, section 3.2.1.8; RFC 1812, section 5.2.4).
 * @param at The header; `end` is one past its last byte.
 * @returns {@link OPTIONS_OK}, or the distance from the header to what is wrong: 20 to 59.
 */
export function check(view: DataView, at: number, end: number): number {
  let routes = 0, records = 0, stamps = 0;
  for (let option = at + 20; option < end;) {
    const type = view.getUint8(option);
    if (type === END) break;
    if (type === NO_OPERATION) {
      option++;
      continue;
    }
    const length = option + 2 > end ? 0 : view.getUint8(option + 1);
    if (length < 2 || option + length > end) return option - at;
    let wrong = -1;
    switch (type) {
      case LOOSE_SOURCE_ROUTE:
      case STRICT_SOURCE_ROUTE:
        wrong = length < 3 ? 1 : view.getUint8(option + 2) < 4 ? 2 : ++routes > 1 ? 0 : -1;
        break;
      case RECORD_ROUTE:
        wrong = ++records > 1 ? 0 : length < 3 ? 1 : pointerOk(view, option, length, 4, 4) ? -1 : 2;
        break;
      case TIMESTAMP:
        wrong = ++stamps > 1 ? 0 : length < 4 ? 1 : checkStamps(view, option, length);
        break;
      case ROUTER_ALERT:
        if (length < 4) wrong = 1;
    }
    if (wrong >= 0) return option - at + wrong;
    option += length;
  }
  return OPTIONS_OK;
}

/** Distance from a timestamp option to what is wrong in it, or -1. */
function checkStamps(view: DataView, option: number, length: number): number {
  const flag = view.getUint8(option + 3) & 15;
  const entry = flag === TIMES ? 4 : flag === ADDRESSES || flag === PRESPECIFIED ? 8 : 0;
  if (!pointerOk(view, option, length, 5, entry || 4)) return 2;
  // There is no room for its time, and none to count that.
  const full = view.getUint8(option + 2) > length && flag !== PRESPECIFIED;
  return full && view.getUint8(option + 3) >>> 4 === 15 ? 3 : -1;
}

/** Whether a pointer (counted from 1) is behind the option's head and either full or leads to room for an entry. */
function pointerOk(view: DataView, option: number, length: number, least: number, entry: number): boolean {
  const pointer = view.getUint8(option + 2);
  return pointer >= least && (pointer > length || pointer + entry - 1 <= length);
}

/** Where the first option of a type is, in options that are in order; or -1. */
export function find(view: DataView, at: number, end: number, type: number): number {
  for (let option = at + 20; option < end;) {
    const found = view.getUint8(option);
    if (found === type) return option;
    if (found === END) return -1;
    option += found === NO_OPERATION ? 1 : view.getUint8(option + 1);
  }
  return -1;
}

/** Writes our address into a record route option that is in order, if there is room. */
export function recordRoute(view: DataView, option: number, address: number): void {
  const pointer = view.getUint8(option + 2);
  if (pointer + 3 > view.getUint8(option + 1)) return;
  view.setInt32(option + pointer - 1, address);
  view.setUint8(option + 2, pointer + 4);
}

/** The address that comes next in a timestamp option of {@link PRESPECIFIED} addresses, or 0. */
export function nextStamped(view: DataView, option: number): number {
  const pointer = view.getUint8(option + 2);
  if ((view.getUint8(option + 3) & 15) !== PRESPECIFIED || pointer + 7 > view.getUint8(option + 1)) return 0;
  return view.getInt32(option + pointer - 1);
}

/**
 * Writes a time, and our address where the option asks for it, into a timestamp option that is in order.
 * @param counts Whether an overflow is counted when there is no room: once a host.
 * @param time ms since midnight UT, or with the highest bit set when that is not known.
 */
export function recordTime(
  view: DataView,
  option: number,
  address: number,
  time: number,
  counts: boolean,
): void {
  const pointer = view.getUint8(option + 2), flag = view.getUint8(option + 3) & 15;
  const length = view.getUint8(option + 1);
  if (pointer > length) {
    if (counts && flag !== PRESPECIFIED) view.setUint8(option + 3, view.getUint8(option + 3) + 0x10);
    return;
  }
  if (pointer + (flag === TIMES ? 3 : 7) > length) return;
  if (flag === TIMES) {
    view.setInt32(option + pointer - 1, time);
    view.setUint8(option + 2, pointer + 4);
  } else if (flag === ADDRESSES || flag === PRESPECIFIED) {
    if (flag === ADDRESSES) view.setInt32(option + pointer - 1, address);
    view.setInt32(option + pointer + 3, time);
    view.setUint8(option + 2, pointer + 8);
  }
}
