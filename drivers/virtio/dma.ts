/**
 * Memory that a device reaches by physical addresses.
 *
 * @module
 */

import { reserveHugePages } from "./uio.ts";
import {
  closeFile,
  map,
  MAP_ANONYMOUS,
  MAP_HUGETLB,
  MAP_LOCKED,
  MAP_POPULATE,
  MAP_SHARED,
  O_CLOEXEC,
  O_RDONLY,
  openFile,
  PROT_READ,
  PROT_WRITE,
  readAt,
} from "../ffi/system.ts";

/** Memory both sides see. What lies within one chunk is contiguous for the device as well. */
export interface DmaMemory {
  /** Every byte. */
  readonly buffer: ArrayBuffer;
  /** Bytes of a chunk, a power of two. */
  readonly chunk: number;
  /** Address of the first byte as this process sees it; 0 when nobody needs it. */
  readonly address: number;
  /** The device's address of the byte at `offset`, 0 to 2^52. */
  physical(offset: number): number;
  /** Gives the memory back, which must not be used by the device any more. */
  release(): void;
}

/** Bytes of a huge page. */
export const HUGE_PAGE: number = 2 ** 21;

/** Bytes of the pages that `/proc/self/pagemap` tells about. */
const PAGE = 4096;

/** Released memory, for the next one who asks. It is never unmapped: somebody may still hold a packet in it. */
const released: HugePages[] = [];

/** Huge pages for what connections send: a ring that has grown step by step to 8 MiB, the most that one sends from, has had 16. */
const SHARED_PAGES = 8;

/** They are of the process, since connections outlive devices; null when there were none to be had. */
let shared: HugePages | null | undefined;

/** The kernel does not tell physical addresses to this process. */
class AddressesHidden extends Error {}

/** Locked huge pages. */
export class HugePages implements DmaMemory {
  readonly buffer: ArrayBuffer;
  readonly chunk: number = HUGE_PAGE;
  readonly address: number;
  readonly #physical: Float64Array;

  private constructor(pages: number) {
    const flags = MAP_SHARED | MAP_ANONYMOUS | MAP_HUGETLB | MAP_LOCKED | MAP_POPULATE;
    const mapping = map(pages * HUGE_PAGE, PROT_READ | PROT_WRITE, flags, -1);
    this.buffer = mapping.buffer;
    this.address = mapping.address;
    this.#physical = physicalAddresses(mapping.address, pages);
  }

  /**
   * Takes `pages` pages of 2 MiB, zeroed when they are new.
   * @throws {Error} When the kernel has not enough of them, or keeps their addresses secret (needs CAP_SYS_ADMIN).
   */
  static allocate(pages: number): HugePages {
    const at = released.findIndex((memory) => memory.buffer.byteLength === pages * HUGE_PAGE);
    if (at >= 0) return released.splice(at, 1)[0]!;
    try {
      return new HugePages(pages);
    } catch (error) {
      if (error instanceof AddressesHidden) throw error;
      throw new Error(
        `Cannot get ${pages} huge pages for the network device: write at least ${pages} to ` +
          `/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages as root`,
        { cause: error },
      );
    }
  }

  /**
   * Memory for what connections send, the same for all; null when the kernel has no pages left for it. It is asked for more of
   * them here, when the first connection sends much: that takes longer than a machine's start should.
   */
  static shared(): HugePages | null {
    if (shared === undefined) {
      try {
        reserveHugePages(SHARED_PAGES);
        shared = new HugePages(SHARED_PAGES);
      } catch {
        shared = null;
      }
    }
    return shared;
  }

  physical(offset: number): number {
    return this.#physical[Math.floor(offset / HUGE_PAGE)]! + offset % HUGE_PAGE;
  }

  release(): void {
    released.push(this);
  }
}

/** Physical addresses of huge pages, by the kernel's page map (Documentation/admin-guide/mm/pagemap.rst). */
function physicalAddresses(address: number, pages: number): Float64Array {
  const physical = new Float64Array(pages);
  const fd = openFile("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  try {
    const entry = new Uint32Array(2);
    for (let page = 0; page < pages; page++) {
      readAt(fd, new Uint8Array(entry.buffer), (address + page * HUGE_PAGE) / PAGE * 8);
      // Bits 0 to 54 are the frame number, 0 for those who may not know; bit 63 says that the page is there.
      const frame = (entry[1]! & 0x7fffff) * 2 ** 32 + entry[0]!;
      if (entry[1]! >>> 31 === 0 || frame === 0) {
        throw new AddressesHidden(
          "Cannot read the physical addresses of memory for the network device: run as root",
        );
      }
      physical[page] = frame * PAGE;
    }
  } finally {
    closeFile(fd);
  }
  return physical;
}
