/**
 * The C library's calls on descriptors, as drivers need them. Lengths and results are 32-bit, which keeps every call
 * on Deno's fast path (a 64-bit number anywhere in a signature makes it fifteen times slower); no call here moves
 * 2 GiB or more.
 *
 * @module
 */

/** {@link Libc.open}: read and write. */
export const O_RDWR = 2;
/** {@link Libc.open}: read only. */
export const O_RDONLY = 0;
/** {@link Libc.open}: reads and writes never wait. */
export const O_NONBLOCK = 0x800;
/** {@link Libc.open}: not inherited by child processes. */
export const O_CLOEXEC = 0x80000;
/** {@link Libc.fcntl}: duplicates a descriptor that child processes do not inherit. */
export const F_DUPFD_CLOEXEC = 1030;
/** {@link Libc.poll}: there is something to read. */
export const POLLIN = 1;
/** {@link Libc.socket}: messages from and to the kernel (netlink(7)). */
export const AF_NETLINK = 16;
/** {@link Libc.socket}: whole messages, never waiting, not inherited by child processes. */
export const SOCK_RAW_NONBLOCK: number = 3 | O_NONBLOCK | O_CLOEXEC;
/** {@link Libc.setns}: a network namespace. */
export const CLONE_NEWNET = 0x40000000;

const SYMBOLS = {
  open: { parameters: ["buffer", "i32", "i32"], result: "i32" },
  close: { parameters: ["i32"], result: "i32" },
  fcntl: { parameters: ["i32", "i32", "i32"], result: "i32" },
  /** Into or from memory at a fixed address. */
  read: { parameters: ["i32", "pointer", "u32"], result: "i32" },
  write: { parameters: ["i32", "pointer", "u32"], result: "i32" },
  /** Scattered; the second argument points to {@link IoVectors}. */
  readv: { parameters: ["i32", "pointer", "i32"], result: "i32" },
  writev: { parameters: ["i32", "pointer", "i32"], result: "i32" },
  ioctl: { parameters: ["i32", "u32", "buffer"], result: "i32" },
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  bind: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
  getsockopt: { parameters: ["i32", "i32", "i32", "buffer", "buffer"], result: "i32" },
  /** Several messages at once; the second argument points to {@link MessageVectors}. */
  sendmmsg: { parameters: ["i32", "pointer", "u32", "i32"], result: "i32" },
  /** Asynchronous I/O, by the numbers of its system calls; see `readiness.ts`. */
  ioSetup: { name: "syscall", parameters: ["i32", "u32", "buffer"], result: "i32" },
  ioSubmit: { name: "syscall", parameters: ["i32", "pointer", "i32", "pointer"], result: "i32" },
  ioDestroy: { name: "syscall", parameters: ["i32", "pointer"], result: "i32" },
  eventfd: { parameters: ["u32", "i32"], result: "i32" },
  setns: { parameters: ["i32", "i32"], result: "i32" },
  /** Waits on a thread of its own; the fallback where a descriptor cannot join the event loop. */
  poll: { parameters: ["buffer", "u32", "i32"], result: "i32", nonblocking: true },
  __errno_location: { parameters: [], result: "pointer" },
} as const satisfies Deno.ForeignLibraryInterface;

/** Calls whose third argument is a number, under names that tell them from those with a buffer. */
const BY_VALUE = {
  ioctl: { parameters: ["i32", "u32", "u32"], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;

/** The calls. Each returns -1 on failure, with the reason in {@link errno}. */
export type Libc = Deno.DynamicLibrary<typeof SYMBOLS>["symbols"] & {
  /** `ioctl` whose argument is the number itself. */
  ioctlValue(fd: number, request: number, value: number): number;
};

let loaded: Libc | null = null;
let errnoView: Int32Array<ArrayBuffer> | null = null;

/**
 * The C library, loaded at the first call and kept until the process ends.
 * @throws {Deno.errors.NotSupported} If this is no Linux, or the library is not found.
 * @throws {Deno.errors.NotCapable} Without `--allow-ffi`.
 */
export function libc(): Libc {
  if (loaded !== null) return loaded;
  if (Deno.build.os !== "linux") {
    throw new Deno.errors.NotSupported(
      `Cannot drive a network device on "${Deno.build.os}": TAP and virtio need Linux; use a "qemu:" device`,
    );
  }
  const { symbols } = Deno.dlopen("libc.so.6", SYMBOLS);
  const { symbols: byValue } = Deno.dlopen("libc.so.6", BY_VALUE);
  // The address is that of this thread, which is the one that all synchronous calls of this isolate run on.
  const location = symbols.__errno_location();
  errnoView = new Int32Array(Deno.UnsafePointerView.getArrayBuffer(location!, 4) as ArrayBuffer);
  loaded = { ...symbols, ioctlValue: byValue.ioctl };
  // Its first call compiles it, which must not happen between a failure and its number.
  errno();
  return loaded;
}

/**
 * Why the last call failed, most likely; see `errno.ts`. To be read right after a synchronous call that returned -1. Between
 * the two V8 may compile or collect garbage, and leaves the number of a failed call of its own there (seen: ENOENT, at
 * the first reads of a process, by programs that read it through a call). So nothing final is decided by this number alone: a call that failed in
 * a way which would end something is repeated, or the kernel asked in another way.
 */
export function errno(): number {
  return errnoView === null ? 0 : errnoView[0]!;
}

/** `text` as C reads it. */
export function cString(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(`${text}\0`);
}
