/**
 * SipHash-2-4 (Aumasson and Bernstein, 2012) in 32-bit halves: a keyed hash of bytes whose key can't be found from
 * what it gives. For secrets that outlive a run; `hash.ts` is for tables.
 *
 * @module
 */

/** 64-bit words v0 to v3, each as its upper and lower half. */
type State = Int32Array;

function round(v: State): void {
  addTo(v, 0, 2);
  rotate(v, 2, 13);
  xor(v, 2, 0);
  rotate(v, 0, 32);
  addTo(v, 4, 6);
  rotate(v, 6, 16);
  xor(v, 6, 4);
  addTo(v, 0, 6);
  rotate(v, 6, 21);
  xor(v, 6, 0);
  addTo(v, 4, 2);
  rotate(v, 2, 17);
  xor(v, 2, 4);
  rotate(v, 4, 32);
}

function addTo(v: State, to: number, from: number): void {
  const low = (v[to + 1]! >>> 0) + (v[from + 1]! >>> 0);
  v[to] = v[to]! + v[from]! + (low > 0xffffffff ? 1 : 0);
  v[to + 1] = low;
}

function xor(v: State, to: number, from: number): void {
  v[to]! ^= v[from]!;
  v[to + 1]! ^= v[from + 1]!;
}

function rotate(v: State, at: number, bits: number): void {
  const high = v[at]!, low = v[at + 1]!;
  if (bits === 32) {
    v[at] = low;
    v[at + 1] = high;
  } else {
    v[at] = high << bits | low >>> (32 - bits);
    v[at + 1] = low << bits | high >>> (32 - bits);
  }
}

/**
 * Hashes bytes.
 * @param key 16 bytes. @returns The 8 bytes of the hash in the order of the paper (least significant first).
 * @throws {RangeError} When the key has another length.
 */
export function sipHash(key: Uint8Array, data: Uint8Array): Uint8Array<ArrayBuffer> {
  if (key.length !== 16) throw new RangeError(`Key of SipHash must have 16 bytes, got ${key.length}`);
  const k = new DataView(key.buffer, key.byteOffset, 16);
  const k0 = k.getInt32(0, true), k0High = k.getInt32(4, true);
  const k1 = k.getInt32(8, true), k1High = k.getInt32(12, true);
  const v = Int32Array.of(
    0x736f6d65 ^ k0High,
    0x70736575 ^ k0,
    0x646f7261 ^ k1High,
    0x6e646f6d ^ k1,
    0x6c796765 ^ k0High,
    0x6e657261 ^ k0,
    0x74656462 ^ k1High,
    0x79746573 ^ k1,
  );
  const padded = new DataView(new ArrayBuffer((data.length & ~7) + 8));
  new Uint8Array(padded.buffer).set(data);
  padded.setUint8(padded.byteLength - 1, data.length & 255);
  for (let at = 0; at < padded.byteLength; at += 8) {
    const low = padded.getInt32(at, true), high = padded.getInt32(at + 4, true);
    v[6]! ^= high;
    v[7]! ^= low;
    round(v);
    round(v);
    v[0]! ^= high;
    v[1]! ^= low;
  }
  v[5]! ^= 0xff;
  for (let i = 0; i < 4; i++) round(v);
  const out = new DataView(new ArrayBuffer(8));
  out.setInt32(0, v[1]! ^ v[3]! ^ v[5]! ^ v[7]!, true);
  out.setInt32(4, v[0]! ^ v[2]! ^ v[4]! ^ v[6]!, true);
  return new Uint8Array(out.buffer);
}
