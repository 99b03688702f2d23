/**
 * Waiting for several files: poll and epoll.
 *
 * @module
 */

import type { Expression } from "./ast.ts";
import { CONSTANTS as K } from "./constants.ts";
import { type Attempt, OpenFile, result, SysError } from "./file.ts";
import { eventFile, field, isOpen, number } from "./values.ts";

/** Reported whether asked for or not. */
const ALWAYS = K.POLLERR! | K.POLLHUP! | K.POLLNVAL!;

interface Interest {
  file: OpenFile;
  fd: number;
  mask: number;
  /** {@link OpenFile.events} when an edge was last reported. */
  seen: number;
  /** What was ready then. */
  reported: number;
  disabled: boolean;
}

/** An epoll instance. */
export class Epoll extends OpenFile {
  readonly #interests = new Map<number, Interest>();

  control(operation: number, fd: number, file: OpenFile, mask: number): void {
    const known = this.#interests.get(fd);
    switch (operation) {
      case K.EPOLL_CTL_ADD:
        if (known !== undefined) throw new SysError("EEXIST");
        this.#interests.set(fd, { file, fd, mask, seen: -1, reported: 0, disabled: false });
        return;
      case K.EPOLL_CTL_MOD:
        if (known === undefined) throw new SysError("ENOENT");
        Object.assign(known, { mask, seen: -1, reported: 0, disabled: false });
        return;
      case K.EPOLL_CTL_DEL:
        if (!this.#interests.delete(fd)) throw new SysError("ENOENT");
        return;
    }
    throw new SysError("EINVAL");
  }

  /** A file was closed. */
  forget(file: OpenFile): void {
    for (const [fd, interest] of this.#interests) if (interest.file === file) this.#interests.delete(fd);
  }

  /** What is ready. @param take Whether edges and one-shots are used up by it. */
  collect(take: boolean, most: number): { fd: number; events: number }[] {
    const found = [];
    for (const interest of this.#interests.values()) {
      if (interest.disabled || found.length === most) continue;
      const events = interest.file.ready() & (interest.mask | ALWAYS);
      const edge = (interest.mask & K.EPOLLET!) !== 0;
      if (events === 0) {
        interest.reported = 0;
        continue;
      }
      if (edge && interest.seen === interest.file.events && (events & ~interest.reported) === 0) continue;
      found.push({ fd: interest.fd, events });
      if (!take) continue;
      interest.seen = interest.file.events;
      interest.reported = events;
      if (interest.mask & K.EPOLLONESHOT!) interest.disabled = true;
    }
    return found;
  }

  ready(): number {
    return this.collect(false, 1).length > 0 ? K.EPOLLIN! : 0;
  }

  close(): null {
    return null;
  }
}

/** Names of the bits that a poll may report. */
export function maskText(mask: number, prefix: string): string {
  const names = ["IN", "PRI", "OUT", "ERR", "HUP", "NVAL", "RDNORM", "WRNORM", "RDHUP"];
  const set = names.filter((name) => mask & (K[prefix + name] ?? 0)).map((name) => prefix + name);
  return set.length > 0 ? set.join("|") : "0";
}

/** poll(fds, count, milliseconds). */
export function poll(
  list: Expression | undefined,
  timeout: number,
  now: () => number,
  find: (fd: number) => OpenFile | null,
): Attempt {
  if (list === undefined || list.kind !== "list") throw new SysError("EFAULT");
  const entries = list.items.map((item) => ({
    file: find(number(field(item, "fd", 0)!)),
    events: number(field(item, "events", 1)!),
    expected: field(item, "revents", 2),
  }));
  const deadline = timeout < 0 ? Infinity : now() + timeout * 1000;
  return {
    deadline,
    run: () => {
      const masks = entries.map(({ file, events }) =>
        file === null ? K.POLLNVAL! : file.ready() & (events | ALWAYS)
      );
      const count = masks.filter((mask) => mask !== 0).length;
      if (count === 0 && now() < deadline) return null;
      for (const [i, { expected }] of entries.entries()) {
        if (isOpen(expected)) continue;
        const wanted = number(expected!);
        if (wanted !== masks[i]) {
          const text = (mask: number) => maskText(mask, "POLL");
          return result(count, `revents ${text(wanted)} got ${text(masks[i]!)}`);
        }
      }
      return result(count);
    },
  };
}

/** epoll_wait(fd, events, most, milliseconds). */
export function epollWait(
  epoll: Epoll,
  expected: Expression | undefined,
  most: number,
  timeout: number,
  now: () => number,
): Attempt {
  if (most <= 0) throw new SysError("EINVAL");
  const deadline = timeout < 0 ? Infinity : now() + timeout * 1000;
  return {
    deadline,
    run: () => {
      const found = epoll.collect(true, most);
      if (found.length === 0 && now() < deadline) return null;
      const items = expected === undefined || isOpen(expected)
        ? []
        : expected.kind === "list"
        ? expected.items
        : [expected];
      for (const [i, item] of items.entries()) {
        const got = found[i];
        const events = field(item, "events", 0), fd = eventFile(item);
        if (got === undefined || isOpen(events)) continue;
        const wanted = number(events!) & ~(K.EPOLLET! | K.EPOLLONESHOT!);
        const other = fd !== null && fd !== got.fd;
        if (wanted !== got.events || other) {
          const text = (mask: number) => maskText(mask, "EPOLL");
          return result(found.length, `events ${text(wanted)} got ${text(got.events)} of file ${got.fd}`);
        }
      }
      return result(found.length);
    },
  };
}
