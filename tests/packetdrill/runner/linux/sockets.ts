/**
 * The script's files and the kernel's: numbers, ports, tcp_info.
 *
 * @module
 */

import type { Talker } from "../system.ts";
import { decodeInfo, TCP_INFO_SIZE } from "./info.ts";

const SOL_TCP = 6, TCP_INFO = 11;

function load() {
  return Deno.dlopen("libc.so.6", {
    getsockname: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
    getpeername: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
    getsockopt: { parameters: ["i32", "i32", "i32", "buffer", "buffer"], result: "i32" },
    setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
  }).symbols;
}

/** A descriptor of the kernel's, by the script's number. */
export interface LiveFile {
  fd: number;
  kind: "tcp" | "udp" | "other";
  /** Where it was told to connect to. */
  remotePort: number | null;
  /** Whether `connect` has told it so. */
  connected?: boolean;
}

/** The files of a script. */
export class Files {
  readonly #files = new Map<number, LiveFile>();
  readonly #calls = load();
  readonly #address = new Uint8Array(new ArrayBuffer(128));
  readonly #length = new Uint8Array(new ArrayBuffer(4));

  /** The kernel's number for a script's; one that is never open when the script has no such file. */
  live(fd: number): number {
    return this.#files.get(fd)?.fd ?? (fd < 0 ? fd : 1_000_000 + fd);
  }

  get(fd: number): LiveFile | undefined {
    return this.#files.get(fd);
  }

  /** Takes a new file in. @param expected The number that the script wants, or -1. @returns Its number. */
  add(file: LiveFile, expected: number): number {
    let fd = expected;
    if (fd < 0 || this.#files.has(fd)) { for (fd = 3; this.#files.has(fd); fd++); }
    this.#files.set(fd, file);
    return fd;
  }

  remove(fd: number): void {
    this.#files.delete(fd);
  }

  /** The port in the address that a call gives; 0 when it gives none. */
  #port(call: "getsockname" | "getpeername", fd: number): number {
    new DataView(this.#length.buffer).setUint32(0, this.#address.length, true);
    if (this.#calls[call](fd, this.#address, this.#length) < 0) return 0;
    return this.#address[2]! << 8 | this.#address[3]!;
  }

  localPort(file: LiveFile): number {
    return this.#port("getsockname", file.fd);
  }

  /** A file, as far as packets are concerned. */
  talker(file: LiveFile): Talker {
    const localPort = this.localPort(file);
    return { protocol: file.kind === "udp" ? "udp" : "tcp", localPort, remotePort: file.remotePort };
  }

  /** Sets an option of a new socket that holds text. */
  setText(fd: number, name: number, text: string): void {
    const bytes = new TextEncoder().encode(text);
    this.#calls.setsockopt(fd, SOL_TCP, name, bytes, bytes.length);
  }

  /** tcp_info of the newest socket between two ports. */
  info(localPort: number, remotePort: number): Record<string, number> {
    for (const file of [...this.#files.values()].reverse()) {
      if (file.kind !== "tcp" || this.localPort(file) !== localPort) continue;
      const remote = this.#port("getpeername", file.fd) || file.remotePort;
      if (remote !== remotePort) continue;
      const bytes = new Uint8Array(new ArrayBuffer(TCP_INFO_SIZE));
      const length = new DataView(this.#length.buffer);
      length.setUint32(0, bytes.length, true);
      if (this.#calls.getsockopt(file.fd, SOL_TCP, TCP_INFO, bytes, this.#length) < 0) continue;
      return decodeInfo(new DataView(bytes.buffer), 0, length.getUint32(0, true));
    }
    return {};
  }
}
