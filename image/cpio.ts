/**
 * Archives of the kernel's initramfs format: cpio, "newc" (Documentation/driver-api/early-userspace/buffer-format.rst
 * of the Linux sources).
 *
 * A header is 110 bytes: the magic "070701" and 13 fields of 8 hexadecimal digits; then the name with a zero byte,
 * then the contents, each padded to 4 bytes. An entry named `TRAILER!!!` ends the archive. Nothing of the machine
 * that builds gets in: times are 0, owners are root, inode numbers count from 1.
 *
 * @module
 */

/** One member of an archive. */
export interface CpioEntry {
  /** Path without a leading slash: `bin/deno`. */
  readonly path: string;
  /** What it is. */
  readonly type: "file" | "directory" | "symlink" | "character";
  /** Permission bits, 0 to 0o777. */
  readonly mode: number;
  /** A file's contents, or a symbolic link's target; empty for the others. */
  readonly data: Uint8Array<ArrayBuffer>;
  /** Device numbers of a character device. */
  readonly device?: readonly [major: number, minor: number];
}

const MAGIC = "070701";
const HEADER = 110;
const TRAILER = "TRAILER!!!";
const TYPES = { file: 0o100000, directory: 0o040000, symlink: 0o120000, character: 0o020000 } as const;
const EMPTY = new Uint8Array(0);

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** @returns A file's entry. */
export function file(path: string, data: Uint8Array<ArrayBuffer> | string, mode = 0o644): CpioEntry {
  return { path, type: "file", mode, data: typeof data === "string" ? encoder.encode(data) : data };
}

/** @returns A directory's entry. */
export function directory(path: string, mode = 0o755): CpioEntry {
  return { path, type: "directory", mode, data: EMPTY };
}

/** @returns A character device's entry. */
export function characterDevice(path: string, major: number, minor: number, mode = 0o600): CpioEntry {
  return { path, type: "character", mode, data: EMPTY, device: [major, minor] };
}

function padded(length: number): number {
  return (length + 3) & ~3;
}

/**
 * Writes an archive. Entries are sorted by path, and the directories above them are added where they are missing,
 * so that the same entries give the same bytes in whatever order they come.
 * @throws {TypeError} When a path is empty, absolute, climbs with "..", or comes twice.
 */
export function writeCpio(entries: readonly CpioEntry[]): Uint8Array<ArrayBuffer> {
  const all = new Map<string, CpioEntry>();
  for (const entry of entries) {
    const parts = entry.path.split("/");
    if (parts.some((part) => part === "" || part === "." || part === "..") || entry.path.includes("\0")) {
      throw new TypeError(`Cannot archive the path "${entry.path}": use a relative path without ".."`);
    }
    if (all.has(entry.path)) throw new TypeError(`Cannot archive "${entry.path}" twice`);
    all.set(entry.path, entry);
  }
  for (const path of [...all.keys()]) {
    for (let slash = path.indexOf("/"); slash >= 0; slash = path.indexOf("/", slash + 1)) {
      const parent = path.slice(0, slash);
      if (!all.has(parent)) all.set(parent, directory(parent));
    }
  }
  // Code unit order: a directory comes before what is in it.
  const sorted = [...all.values()].sort((a, b) => a.path < b.path ? -1 : 1);
  sorted.push({ path: TRAILER, type: "file", mode: 0, data: EMPTY });

  let length = 0;
  for (const entry of sorted) {
    length += padded(HEADER + encoder.encode(entry.path).length + 1) + padded(entry.data.length);
  }
  const archive = new Uint8Array(length);
  let at = 0;
  let inode = 0;
  for (const entry of sorted) {
    const trailer = entry.path === TRAILER;
    const name = encoder.encode(entry.path);
    const [major, minor] = entry.device ?? [0, 0];
    const fields = [
      trailer ? 0 : ++inode,
      trailer ? 0 : TYPES[entry.type] | entry.mode,
      0, // uid
      0, // gid
      entry.type === "directory" ? 2 : 1,
      0, // mtime
      entry.data.length,
      0, // major and minor number of the file system
      0,
      major,
      minor,
      name.length + 1,
      0, // check sum; only of the "070702" format
    ];
    const header = MAGIC + fields.map((field) => field.toString(16).toUpperCase().padStart(8, "0")).join("");
    encoder.encodeInto(header, archive.subarray(at));
    archive.set(name, at + HEADER);
    at += padded(HEADER + name.length + 1);
    archive.set(entry.data, at);
    at += padded(entry.data.length);
  }
  return archive;
}

/**
 * Reads an archive. Contents are views into `archive`.
 * @throws {TypeError} When it is not an archive of this format or is cut short.
 */
export function readCpio(archive: Uint8Array<ArrayBuffer>): CpioEntry[] {
  const entries: CpioEntry[] = [];
  let at = 0;
  while (true) {
    if (at + HEADER > archive.length) throw new TypeError(`Archive is cut short at byte ${at}`);
    const header = decoder.decode(archive.subarray(at, at + HEADER));
    if (!/^070701[0-9a-fA-F]{104}$/.test(header)) throw new TypeError(`No cpio header at byte ${at}`);
    const field = (i: number) => parseInt(header.slice(6 + 8 * i, 14 + 8 * i), 16);
    const size = field(6);
    const nameLength = field(11);
    const start = at + padded(HEADER + nameLength);
    if (nameLength === 0 || start + size > archive.length) {
      throw new TypeError(`Archive is cut short in the entry at byte ${at}`);
    }
    const path = decoder.decode(archive.subarray(at + HEADER, at + HEADER + nameLength - 1));
    if (path === TRAILER) return entries;
    const mode = field(1);
    const type = (Object.keys(TYPES) as CpioEntry["type"][]).find((key) => TYPES[key] === (mode & 0o170000));
    if (type === undefined) throw new TypeError(`Unknown type of "${path}": mode ${mode.toString(8)}`);
    const data = archive.subarray(start, start + size);
    entries.push({
      path,
      type,
      mode: mode & 0o777,
      data,
      ...(type === "character" ? { device: [field(9), field(10)] as const } : {}),
    });
    at = start + padded(size);
  }
}
