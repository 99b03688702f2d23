/**
 * Link addresses for devices that have none of their own.
 *
 * @module
 */

/** A random link address: unicast, locally administered (IEEE 802, section 8.2.2). */
export function randomLinkAddress(): Uint8Array {
  const mac = crypto.getRandomValues(new Uint8Array(6));
  mac[0] = (mac[0]! & 0xfc) | 2;
  return mac;
}

/**
 * A fixed link address made from a number: unicast, locally administered, the same in every run.
 * @param index 0 to 2³² − 1.
 */
export function numberedLinkAddress(index: number): Uint8Array {
  return new Uint8Array([2, 0xe7, index >>> 24, (index >>> 16) & 255, (index >>> 8) & 255, index & 255]);
}

/**
 * Reads `02:e7:00:00:00:01`.
 * @throws {TypeError} If `text` is not six bytes, or not the address of a single station.
 */
export function parseLinkAddress(text: string): Uint8Array {
  if (!/^[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}$/.test(text)) {
    throw new TypeError(
      `Link address "${text}" is not six hexadecimal bytes; write it like "02:e7:00:00:00:01"`,
    );
  }
  const mac = Uint8Array.from(text.split(":"), (byte) => parseInt(byte, 16));
  if ((mac[0]! & 1) !== 0) {
    throw new TypeError(
      `Link address "${text}" is a group address; give a host one whose first byte is even, like "02:…"`,
    );
  }
  return mac;
}

/** Writes an address as `02:e7:00:00:00:01`. */
export function formatLinkAddress(mac: Uint8Array): string {
  return Array.from(mac, (byte) => byte.toString(16).padStart(2, "0")).join(":");
}
