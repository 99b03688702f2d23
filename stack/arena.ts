/**
 * Memory in which received frames are best put: where WebAssembly has vectors, sums over it are taken with them.
 *
 * @module
 */

import { Region } from "./packet.ts";
import { CHECKSUM_WASM } from "./wire/checksum_wasm.ts";

/** Bytes of WebAssembly's unit of memory. */
const PAGE = 65536;

/** The compiled module; null where there is no WebAssembly or it has no vectors, undefined before anybody has asked. */
let compiled: WebAssembly.Module | null | undefined;

function compile(): WebAssembly.Module | null {
  try {
    return new WebAssembly.Module(Uint8Array.from(atob(CHECKSUM_WASM), (letter) => letter.charCodeAt(0)));
  } catch {
    return null;
  }
}

/**
 * A region of `length` bytes, all 0: of a memory of WebAssembly's own if there is such a thing, and else like any other. Meant
 * for the few blocks that devices receive into, since an engine sets gigabytes of addresses aside for each.
 */
export function allocateArena(length: number): Region {
  compiled ??= compile();
  if (compiled !== null) {
    try {
      const pages = Math.ceil(length / PAGE);
      // Never grown, so that its buffer stays where it is.
      const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
      const { exports } = new WebAssembly.Instance(compiled, { arena: { memory } });
      const region = new Region(memory.buffer as ArrayBuffer, 0, length);
      region.vectorSum = exports["sum"] as (at: number, end: number) => number;
      return region;
    } catch {
      // No addresses are left for one more.
    }
  }
  return new Region(new ArrayBuffer(length));
}
