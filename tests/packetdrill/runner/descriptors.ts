/**
 * The file descriptors of a script: numbers, copies, flags.
 *
 * @module
 */

import { CONSTANTS as K } from "./constants.ts";
import { type Attempt, done, type OpenFile, SysError } from "./file.ts";

/** Numbers, and the files behind them. Several may stand for one file. */
export class Descriptors {
  readonly #files = new Map<number, OpenFile>();
  /** Those that an `exec` would close. */
  readonly #closeOnExec = new Set<number>();

  /** The file of a number, or null. */
  get(fd: number): OpenFile | null {
    return this.#files.get(fd) ?? null;
  }

  /** @throws {SysError} EBADF. */
  need(fd: number): OpenFile {
    const file = this.#files.get(fd);
    if (file === undefined) throw new SysError("EBADF");
    return file;
  }

  /** Every file once. */
  all(): Set<OpenFile> {
    return new Set(this.#files.values());
  }

  /** Files get the numbers that the script expects, where they are free. @returns The number. */
  add(file: OpenFile, expected: number, closeOnExec = false): number {
    let fd = expected;
    if (fd < 0 || this.#files.has(fd)) { for (fd = 3; this.#files.has(fd); fd++); }
    this.#files.set(fd, file);
    if (closeOnExec) this.#closeOnExec.add(fd);
    return fd;
  }

  /** dup, and fcntl with F_DUPFD. */
  copy(fd: number, expected: number, closeOnExec = false): Attempt {
    return done(this.add(this.need(fd), expected, closeOnExec));
  }

  /** dup2 and dup3. */
  copyTo(fd: number, to: number, closeOnExec = false): Attempt {
    const file = this.need(fd);
    if (fd !== to) {
      this.remove(to)?.close();
      this.add(file, to, closeOnExec);
    }
    return done(to);
  }

  /** Forgets a number. @returns The file when that was its last one, or null. */
  remove(fd: number): OpenFile | null {
    const file = this.#files.get(fd);
    this.#files.delete(fd);
    this.#closeOnExec.delete(fd);
    if (file === undefined) return null;
    for (const other of this.#files.values()) if (other === file) return null;
    return file;
  }

  /** fcntl. @throws {SysError} */
  control(fd: number, command: number, value: number, expected: number): Attempt {
    const file = this.need(fd);
    switch (command) {
      case K.F_GETFL:
        return done(file.access | (file.nonblocking ? K.O_NONBLOCK! : 0));
      case K.F_SETFL:
        file.nonblocking = (value & K.O_NONBLOCK!) !== 0;
        return done(0);
      case K.F_GETFD:
        return done(this.#closeOnExec.has(fd) ? 1 : 0);
      case K.F_SETFD:
        if (value & K.FD_CLOEXEC!) this.#closeOnExec.add(fd);
        else this.#closeOnExec.delete(fd);
        return done(0);
      case K.F_DUPFD:
      case K.F_DUPFD_CLOEXEC:
        return this.copy(fd, expected, command === K.F_DUPFD_CLOEXEC);
      case K.F_GETOWN:
      case K.F_SETOWN:
      case K.F_GETSIG:
      case K.F_SETSIG:
        return done(0);
    }
    throw new SysError("EINVAL");
  }
}
