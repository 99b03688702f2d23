/**
 * The system calls that process 1 and the drivers of PCI devices need. Not for the packet path: these signatures
 * use 64-bit numbers, which leave Deno's fast calls. Nothing here loads `node:` modules, because process 1 mounts
 * `/proc` with it, and Deno's `node:process` needs `/proc`.
 *
 * @module
 */

/** {@link openFile}: read only. */
export const O_RDONLY = 0;
/** {@link openFile}: read and write. */
export const O_RDWR = 2;
/** {@link openFile}: reads and writes never wait. */
export const O_NONBLOCK = 0x800;
/** {@link openFile}: not inherited by child processes. */
export const O_CLOEXEC = 0x80000;

/** {@link map}: pages can be read. */
export const PROT_READ = 1;
/** {@link map}: pages can be written. */
export const PROT_WRITE = 2;
/** {@link map}: stores are seen by every holder of the mapping. */
export const MAP_SHARED = 1;
/** {@link map}: stores are seen by this process alone. */
export const MAP_PRIVATE = 2;
/** {@link mapOver}: at this very place. */
const MAP_FIXED = 0x10;
/** {@link map}: memory of no file, starting as zeros. */
export const MAP_ANONYMOUS = 0x20;
/** {@link map}: pages stay in memory. */
export const MAP_LOCKED = 0x2000;
/** {@link map}: pages are there when the call returns. */
export const MAP_POPULATE = 0x8000;
/** {@link map}: pages of the default huge page size. */
export const MAP_HUGETLB = 0x40000;

/** {@link restart}: switches the machine off. */
export const POWER_OFF = 0x4321fedc | 0;
/** {@link restart}: starts the machine again. */
export const RESTART = 0x01234567;

const SYS_FINIT_MODULE = 313;
const EEXIST = 17;
const CLOCK_MONOTONIC = 1;

function load() {
  return Deno.dlopen("libc.so.6", {
    mount: { parameters: ["buffer", "buffer", "buffer", "u64", "buffer"], result: "i32" },
    reboot: { parameters: ["i32"], result: "i32" },
    sync: { parameters: [], result: "void" },
    tcdrain: { parameters: ["i32"], result: "i32" },
    syscall: { parameters: ["i64", "i64", "buffer", "i64"], result: "i64" },
    open: { parameters: ["buffer", "i32", "i32"], result: "i32" },
    close: { parameters: ["i32"], result: "i32" },
    pread: { parameters: ["i32", "buffer", "usize", "i64"], result: "isize" },
    pwrite: { parameters: ["i32", "buffer", "usize", "i64"], result: "isize" },
    read: { parameters: ["i32", "buffer", "u32"], result: "i32" },
    mmap: { parameters: ["pointer", "usize", "i32", "i32", "i32", "i64"], result: "pointer" },
    munmap: { parameters: ["pointer", "usize"], result: "i32" },
    clock_gettime: { parameters: ["i32", "buffer"], result: "i32" },
    strerror: { parameters: ["i32"], result: "pointer" },
    __errno_location: { parameters: [], result: "pointer" },
  }).symbols;
}

let symbols: ReturnType<typeof load> | null = null;
let errnoView: Int32Array | null = null;

/** The library, loaded with the first call: importing this module has no effect and needs no permission. */
function libc(): ReturnType<typeof load> {
  if (symbols !== null) return symbols;
  symbols = load();
  errnoView = new Int32Array(Deno.UnsafePointerView.getArrayBuffer(symbols.__errno_location()!, 4));
  // Its first call compiles it, which must not happen between a failure and its number.
  errno();
  return symbols;
}

/** A system call that failed. */
export class SystemCallError extends Error {
  override readonly name = "SystemCallError";
  /** The kernel's error number. */
  readonly errno: number;

  /** @param message What failed. @param errno The kernel's error number. */
  constructor(message: string, errno: number) {
    super(message);
    this.errno = errno;
  }
}

/** @returns errno of the last call on this thread, most likely: see the one in `libc.ts`. Read it at once. */
function errno(): number {
  return errnoView === null ? 0 : errnoView[0]!;
}

function fail(what: string): never {
  const number = errno();
  const text = new Deno.UnsafePointerView(libc().strerror(number)!).getCString();
  throw new SystemCallError(`${what}: ${text} (errno ${number})`, number);
}

const encoder = new TextEncoder();

function cString(text: string): Uint8Array<ArrayBuffer> {
  return encoder.encode(text + "\0");
}

/**
 * Mounts a file system. The directory must exist.
 * @throws {SystemCallError} When the kernel refuses.
 */
export function mount(source: string, target: string, type: string, options = ""): void {
  if (libc().mount(cString(source), cString(target), cString(type), 0n, cString(options)) !== 0) {
    fail(`Cannot mount ${type} on "${target}"`);
  }
}

/** Switches off or restarts the machine, at once: {@link POWER_OFF} or {@link RESTART}. Does not return. */
export function restart(how: number): void {
  if (libc().reboot(how) !== 0) fail("Cannot end the machine");
}

/** Waits until what was written to the terminal behind descriptor `fd` has left. */
export function drain(fd: number): void {
  libc().tcdrain(fd);
}

/**
 * Loads a kernel module from a file.
 * @throws {SystemCallError} When the kernel refuses; EEXIST (17), already loaded, is no error.
 */
export function loadModule(path: string): void {
  const fd = openFile(path, O_RDONLY | O_CLOEXEC);
  try {
    const attempt = () => libc().syscall(BigInt(SYS_FINIT_MODULE), BigInt(fd), cString(""), 0n) === 0n;
    // Tried twice, because V8 may have changed errno before it was read.
    if (!attempt() && errno() !== EEXIST && !attempt() && errno() !== EEXIST) {
      fail(`Cannot load the kernel module "${path}"`);
    }
  } finally {
    closeFile(fd);
  }
}

/**
 * Opens a file.
 * @returns Its descriptor; end it with {@link closeFile}.
 * @throws {SystemCallError} When the kernel refuses.
 */
export function openFile(path: string, flags: number): number {
  const fd = libc().open(cString(path), flags, 0);
  if (fd < 0) fail(`Cannot open "${path}"`);
  return fd;
}

/** Closes a descriptor. */
export function closeFile(fd: number): void {
  libc().close(fd);
}

/**
 * Reads what a descriptor has.
 * @returns Bytes read, 0 at the end, -1 on an error (also when a nonblocking descriptor has nothing).
 */
export function readDescriptor(fd: number, target: Uint8Array<ArrayBuffer>): number {
  return libc().read(fd, target, target.length);
}

/** Reads at `position`. @returns Bytes read. @throws {SystemCallError} When the kernel refuses. */
export function readAt(fd: number, target: Uint8Array<ArrayBuffer>, position: number): number {
  const count = Number(libc().pread(fd, target, BigInt(target.length), BigInt(position)));
  if (count < 0) fail("Cannot read");
  return count;
}

/** Writes at `position`. @returns Bytes written. @throws {SystemCallError} When the kernel refuses. */
export function writeAt(fd: number, source: Uint8Array<ArrayBuffer>, position: number): number {
  const count = Number(libc().pwrite(fd, source, BigInt(source.length), BigInt(position)));
  if (count < 0) fail("Cannot write");
  return count;
}

/** Memory mapped by {@link map}. */
export interface Mapping {
  /** The memory itself. Must not be touched after {@link unmap}. */
  readonly buffer: ArrayBuffer;
  /** Its virtual address. */
  readonly address: number;
  /** @internal */
  readonly pointer: Deno.PointerObject;
}

/**
 * Maps `length` bytes of a descriptor (-1 with {@link MAP_ANONYMOUS}).
 * @throws {SystemCallError} When the kernel refuses.
 */
export function map(length: number, protection: number, flags: number, fd: number, offset = 0): Mapping {
  const pointer = libc().mmap(null, BigInt(length), protection, flags, fd, BigInt(offset));
  const address = pointer === null ? 0 : Number(Deno.UnsafePointer.value(pointer));
  // MAP_FAILED is -1; Deno hands it on as a pointer to the last byte of the address space.
  if (pointer === null || address > 2 ** 63 || address < 0) fail(`Cannot map ${length} bytes`);
  return { buffer: Deno.UnsafePointerView.getArrayBuffer(pointer, length), address, pointer };
}

/**
 * Puts a mapping of a descriptor (-1 with {@link MAP_ANONYMOUS}) in the place of memory that this process has: whole pages of it.
 * Whoever holds a view of the memory sees what is mapped there from then on.
 * @param address Of the first byte. @returns False when the kernel refuses.
 */
export function mapOver(address: number, length: number, flags: number, fd: number): boolean {
  const wanted = Deno.UnsafePointer.create(BigInt(address));
  const protection = PROT_READ | PROT_WRITE;
  const got = libc().mmap(wanted, BigInt(length), protection, flags | MAP_FIXED, fd, 0n);
  return got !== null && Number(Deno.UnsafePointer.value(got)) === address;
}

/** Ends a mapping. */
export function unmap(mapping: Mapping): void {
  libc().munmap(mapping.pointer, BigInt(mapping.buffer.byteLength));
}

/** Milliseconds since the kernel started (CLOCK_MONOTONIC), to the µs. */
export function uptime(): number {
  const time = new BigInt64Array(2);
  libc().clock_gettime(CLOCK_MONOTONIC, new Uint8Array(time.buffer));
  return Number(time[0]) * 1000 + Math.floor(Number(time[1]) / 1000) / 1000;
}
