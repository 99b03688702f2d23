/**
 * VLAN tags (IEEE 802.1Q, clause 9.6): of customers (0x8100) and of services (0x88a8, 802.1ad).
 *
 * ```text
 *  0                   1                   2                   3
 *  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * | PCP |D|    VLAN identifier    |           Ethertype           |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * ```
 *
 * The tag lies behind both link addresses and the tag's own ethertype, in front of the ethertype of what it carries.
 *
 * @module
 */

/** Bytes that a tag makes a frame longer. */
export const TAG_LENGTH = 4;
/** Greatest identifier of a VLAN; 4095 is reserved, 0 stands for none. */
export const MOST_ID = 4094;
/** Bytes of both link addresses, behind which the tag lies. */
const ADDRESSES = 12;

/** The identifier of the tag whose control information is at `at`: 0 to 4095. */
export function id(view: DataView, at: number): number {
  return view.getUint16(at) & 0xfff;
}

/** The priority of the tag whose control information is at `at`: 0 to 7. */
export function priority(view: DataView, at: number): number {
  return view.getUint8(at) >>> 5;
}

/** Takes the tag of the frame at `at` out, by moving the link addresses. @returns Where the frame starts now. */
export function untag(view: DataView, at: number): number {
  view.setInt32(at + 12, view.getInt32(at + 8));
  view.setInt32(at + 8, view.getInt32(at + 4));
  view.setInt32(at + 4, view.getInt32(at));
  return at + TAG_LENGTH;
}

/** Puts a tag into the frame at `at`; there is room in front of it. @returns Where the frame starts now. */
export function tag(view: DataView, at: number, ethertype: number, control: number): number {
  const start = at - TAG_LENGTH;
  view.setInt32(start, view.getInt32(at));
  view.setInt32(start + 4, view.getInt32(at + 4));
  view.setInt32(start + 8, view.getInt32(at + 8));
  view.setInt32(start + ADDRESSES, ethertype << 16 | control);
  return start;
}
