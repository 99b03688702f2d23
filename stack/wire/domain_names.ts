/**
 * Domain names in the form of RFC 1035, section 3.1, as routers and DHCP servers tell them.
 *
 * @module
 */

/** Bytes of a name (RFC 1035, section 2.3.4). */
const MOST_BYTES = 255;

/**
 * Reads names that follow each other. What is malformed ends the list: an empty name, a label that is no host's, a
 * pointer that does not go back, a name that is too long.
 *
 * @param view Where they are. @param start The first byte. @param end One past the last.
 * @param compressed Whether pointers from `start` on are allowed (RFC 1035, section 4.1.4).
 * @param most Names that are read at most.
 * @returns The names in lower case, without the last dot; null when something was malformed before the first.
 */
export function readNames(
  view: DataView,
  start: number,
  end: number,
  compressed = false,
  most = 16,
): string[] | null {
  const names: string[] = [];
  let at = start;
  while (at < end && names.length < most) {
    // Padding behind the last name (RFC 8106, section 5.2).
    if (view.getUint8(at) === 0 && names.length > 0) break;
    const name = readName(view, start, at, end, compressed);
    if (name === null) return names.length === 0 ? null : names;
    names.push(name);
    at = behindName(view, at);
  }
  return names;
}

function readName(
  view: DataView,
  start: number,
  at: number,
  end: number,
  compressed: boolean,
): string | null {
  const labels: string[] = [];
  let bytes = 1;
  // Each pointer has to go further back than everything read so far, so that there is no going round.
  let lowest = at;
  for (;;) {
    if (at >= end) return null;
    const length = view.getUint8(at++);
    if (length === 0) return labels.length === 0 ? null : labels.join(".");
    if (length >= 0xc0) {
      if (!compressed || at >= end) return null;
      const target = start + ((length & 0x3f) << 8 | view.getUint8(at));
      if (target >= lowest) return null;
      at = lowest = target;
      continue;
    }
    bytes += length + 1;
    if (length > 63 || at + length > end || bytes > MOST_BYTES) return null;
    let label = "";
    for (let i = 0; i < length; i++) label += String.fromCharCode(view.getUint8(at + i));
    if (!/^[A-Za-z0-9_-]+$/.test(label)) return null;
    labels.push(label.toLowerCase());
    at += length;
  }
}

/**
 * The bytes of names that follow each other.
 * @throws {RangeError} A name that is no host's, or too long.
 */
export function encodeNames(names: readonly string[]): number[] {
  return names.flatMap((name) => {
    const labels = name.replace(/\.$/, "").split(".");
    const bytes = labels.flatMap((label) => {
      if (!/^[A-Za-z0-9_-]{1,63}$/.test(label)) throw new RangeError(`"${name}" is not the name of a domain`);
      return [label.length, ...Array.from(label, (char) => char.charCodeAt(0))];
    });
    if (bytes.length + 1 > MOST_BYTES) throw new RangeError(`"${name}" has more than ${MOST_BYTES} bytes`);
    return [...bytes, 0];
  });
}

/** One past the name at `at`, which was read before. */
function behindName(view: DataView, at: number): number {
  for (;;) {
    const length = view.getUint8(at++);
    if (length === 0) return at;
    if (length >= 0xc0) return at + 1;
    at += length;
  }
}
