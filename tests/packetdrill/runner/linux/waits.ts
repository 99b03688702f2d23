/**
 * poll and epoll, laid out for the kernel.
 *
 * @module
 */

import type { Expression } from "../ast.ts";
import { CONSTANTS as K } from "../constants.ts";
import { maskText } from "../epoll.ts";
import { eventFile, field, isOpen, number, optional, Unsupported } from "../values.ts";
import type { Arena } from "./arena.ts";
import type { Made } from "./marshal.ts";
import type { Files } from "./sockets.ts";

/** Bytes of struct pollfd, and of struct epoll_event on x86-64. */
const POLLFD = 8, EPOLL_EVENT = 12;

/** Lays out waits for several files. */
export class Waits {
  readonly #arena: Arena;
  readonly #files: Files;

  constructor(arena: Arena, files: Files) {
    this.#arena = arena;
    this.#files = files;
  }

  /** poll(fds, count, milliseconds). */
  poll([list, count, timeout]: Expression[]): Made {
    if (list?.kind !== "list") throw new Unsupported("Expected a list of {fd, events, revents}");
    const { view } = this.#arena;
    const at = this.#arena.take(POLLFD * list.items.length);
    for (const [i, item] of list.items.entries()) {
      view.setInt32(at + POLLFD * i, this.#files.live(number(field(item, "fd", 0)!)), true);
      view.setUint16(at + POLLFD * i + 4, number(field(item, "events", 1)!), true);
    }
    return {
      ...this.#pollCall(timeout, this.#arena.address(at), optional(count, list.items.length)),
      ended: () => {
        for (const [i, item] of list.items.entries()) {
          const expected = field(item, "revents", 2);
          if (isOpen(expected)) continue;
          const wanted = number(expected!), got = view.getUint16(at + POLLFD * i + 6, true);
          if (wanted !== got) return `revents ${maskText(wanted, "POLL")} got ${maskText(got, "POLL")}`;
        }
        return null;
      },
    };
  }

  /** ppoll takes a struct timespec, poll milliseconds. */
  #pollCall(timeout: Expression | undefined, list: number, count: number): Pick<Made, "number" | "args"> {
    if (timeout?.kind !== "struct" && !isOpen(timeout)) {
      return { number: 7, args: [list, count, number(timeout!)] };
    }
    if (isOpen(timeout)) return { number: 271, args: [list, count, 0, 0, 8] };
    const at = this.#arena.take(16);
    const part = (name: string, place: number) => BigInt(optional(field(timeout, name, place), 0));
    this.#arena.view.setBigInt64(at, part("tv_sec", 0), true);
    this.#arena.view.setBigInt64(at + 8, part("tv_nsec", 1), true);
    return { number: 271, args: [list, count, this.#arena.address(at), 0, 8] };
  }

  /** epoll_ctl(epoll, operation, fd, event). The script's number of the file comes back with its events. */
  control([epoll, operation, fd, event]: Expression[]): Made {
    const at = this.#arena.take(EPOLL_EVENT);
    this.#arena.view.setUint32(at, optional(field(event, "events", 0), 0), true);
    this.#arena.view.setUint32(at + 4, number(fd!), true);
    return {
      number: 233,
      args: [
        this.#files.live(number(epoll!)),
        number(operation!),
        this.#files.live(number(fd!)),
        this.#arena.address(at),
      ],
    };
  }

  /** epoll_wait(epoll, events, most, milliseconds). */
  epoll([epoll, expected, most, timeout]: Expression[]): Made {
    const room = Math.max(1, number(most!));
    const { view } = this.#arena;
    const at = this.#arena.take(EPOLL_EVENT * room);
    return {
      number: 232,
      args: [
        this.#files.live(number(epoll!)),
        this.#arena.address(at),
        number(most!),
        number(timeout!),
      ],
      ended: (count) => {
        const items = isOpen(expected) ? [] : expected!.kind === "list" ? expected!.items : [expected!];
        for (const [i, item] of items.entries()) {
          const events = field(item, "events", 0), fd = eventFile(item);
          if (i >= count || isOpen(events)) continue;
          const wanted = number(events!) & ~(K.EPOLLET! | K.EPOLLONESHOT!);
          const got = view.getUint32(at + EPOLL_EVENT * i, true);
          const file = view.getUint32(at + EPOLL_EVENT * i + 4, true);
          if (wanted !== got || (fd !== null && fd !== file)) {
            return `events ${maskText(wanted, "EPOLL")} got ${maskText(got, "EPOLL")} of file ${file}`;
          }
        }
        return null;
      },
    };
  }
}
