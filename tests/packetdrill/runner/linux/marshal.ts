/**
 * The script's calls as the kernel takes them: numbers of x86-64, arguments laid out in memory.
 *
 * @module
 */

import { IpAddress } from "../../../../stack/ip/address.ts";
import type { CallSpec, Expression } from "../ast.ts";
import { CONSTANTS as K } from "../constants.ts";
import type { Watcher } from "../system.ts";
import { addressMismatch, endpoint, field, isOpen, number, optional, Unsupported } from "../values.ts";
import type { Arena } from "./arena.ts";
import { Messages } from "./messages.ts";
import { Options } from "./options.ts";
import type { KernelSettings } from "./settings.ts";
import type { Files, LiveFile } from "./sockets.ts";
import { Waits } from "./waits.ts";

/** Addresses and ports where a script writes `...`. */
export interface Defaults {
  localAddress: IpAddress;
  remoteAddress: IpAddress;
  bindPort: number;
  connectPort: number;
  ipVersion: string;
  /** When the script began, in µs of the system's clock. */
  start: () => number;
}

/** A call, ready to be made. */
export interface Made {
  number: number;
  args: (number | bigint)[];
  /** Runs once it has begun. @param going Whether it goes on. */
  begun?: (going: () => boolean) => void;
  /** Runs when it has returned. @returns What is not as the script expects, or null. */
  ended?: (value: number) => string | null;
  /** What the script sees in place of what it returned. */
  value?: (value: number) => number;
}

type Maker = (args: Expression[], expected: number) => Made;

/** Lays out calls. */
export class Marshal {
  readonly #arena: Arena;
  readonly #files: Files;
  readonly #settings: KernelSettings;
  readonly #defaults: Defaults;
  readonly #watcher: Watcher;
  readonly #messages: Messages;
  readonly #options: Options;
  readonly #waits: Waits;
  readonly #makers: Record<string, Maker>;
  /** What a file that a script opens is: zeros. */
  #zeros: string | null = null;

  constructor(
    arena: Arena,
    files: Files,
    settings: KernelSettings,
    defaults: Defaults,
    watcher: Watcher,
  ) {
    this.#arena = arena;
    this.#files = files;
    this.#settings = settings;
    this.#defaults = defaults;
    this.#watcher = watcher;
    this.#messages = new Messages(arena, (e, remote) => this.#address(e, remote), defaults.start);
    this.#options = new Options(arena, (e, remote) => this.#address(e, remote));
    this.#waits = new Waits(arena, files);
    this.#makers = this.#table();
  }

  /** @throws {Unsupported} A call or an argument that it does not know. */
  prepare(spec: CallSpec, expected: number): Made {
    const maker = this.#makers[spec.name];
    if (maker === undefined) throw new Unsupported(`System call "${spec.name}" is not supported`);
    this.#arena.clear();
    return maker(spec.args, expected);
  }

  #fd(e: Expression | undefined): number {
    return this.#files.live(number(e ?? { kind: "ellipsis" }));
  }

  /** A buffer of `length` bytes; a script may give an address where nothing is. */
  #buffer(e: Expression | undefined, length: number): number {
    if (e?.kind === "number") return e.value;
    if (e?.kind === "symbol" && e.name === "NULL") return 0;
    return this.#arena.address(this.#arena.take(Math.max(1, length)));
  }

  /** A socket address. @returns Its place and its length; null for none. */
  #address(e: Expression | undefined, remote: boolean): { at: number; length: number; port: number } | null {
    if (e === undefined || (e.kind === "symbol" && e.name === "NULL") || e.kind === "number") return null;
    const { localAddress, remoteAddress, bindPort, connectPort, ipVersion } = this.#defaults;
    const given = endpoint(e);
    const address = given.address ?? (remote ? remoteAddress : localAddress);
    const port = given.port ?? (remote ? connectPort : bindPort);
    const family = given.family ?? (ipVersion === "ipv4" ? K.AF_INET! : K.AF_INET6!);
    const { view } = this.#arena;
    const at = this.#arena.take(28);
    view.setUint16(at, family, true);
    view.setUint16(at + 2, port);
    if (family !== K.AF_INET6) {
      if (address.version === 4) view.setUint32(at + 4, address.number);
      return { at, length: 16, port };
    }
    if (address.version === 6) address.write(view, at + 8);
    else if (!address.isUnspecified) {
      view.setUint16(at + 18, 0xffff);
      view.setUint32(at + 20, address.number);
    }
    return { at, length: 28, port };
  }

  #addressArgs(e: Expression | undefined, length: Expression | undefined, remote: boolean): number[] {
    const address = this.#address(e, remote);
    if (address === null) return [e?.kind === "number" ? e.value : 0, optional(length, 0)];
    return [this.#arena.address(address.at), optional(length, address.length)];
  }

  /** Whether `...` means the peer that a socket has. */
  #talksTo(fd: Expression | undefined, to: Expression | undefined): boolean {
    const file = this.#files.get(number(fd!));
    return to?.kind === "ellipsis" && file !== undefined &&
      (file.connected === true || (file.kind === "tcp" && file.remotePort !== null));
  }

  #opens(kind: LiveFile["kind"], expected: number): Pick<Made, "value"> {
    return { value: (fd) => this.#files.add({ fd, kind, remotePort: null }, expected) };
  }

  /** A call that may give its socket a peer: packets are expected of it at once. */
  #connects(fd: Expression | undefined, port: number): Pick<Made, "begun"> {
    const file = this.#files.get(number(fd!));
    if (file === undefined) return {};
    return {
      begun: (going) => {
        const until = performance.now() + 200;
        while (going() && this.#files.localPort(file) === 0 && performance.now() < until);
        if (this.#files.localPort(file) === 0) return;
        file.remotePort = port;
        this.#watcher.connected(this.#files.talker(file));
      },
    };
  }

  /** Sending to an address connects with Fast Open, and tells of a UDP socket whom it talks to. */
  #sends(fd: Expression | undefined, flags: number, port: number | null): Pick<Made, "begun"> {
    const file = this.#files.get(number(fd!));
    if (file === undefined || port === null || file.remotePort !== null) return {};
    return file.kind === "udp" || flags & K.MSG_FASTOPEN! ? this.#connects(fd, port) : {};
  }

  #table(): Record<string, Maker> {
    const receive = (nr: number) => ([fd, buffer, length, flags, from, size]: Expression[]): Made => {
      const most = number(length!);
      const rest = nr === 45 ? [optional(flags, 0), ...this.#from(from, size)] : [];
      return { number: nr, args: [this.#fd(fd), this.#buffer(buffer, most), most, ...rest] };
    };
    const send = (nr: number) => ([fd, buffer, length, flags, to, size]: Expression[]): Made => {
      const most = number(length!);
      const bits = nr === 44 ? optional(flags, 0) : 0;
      const address = this.#talksTo(fd, to) ? null : this.#address(to, true);
      const rest = nr === 44
        ? [
          bits,
          address === null ? 0 : this.#arena.address(address.at),
          address === null ? 0 : optional(size, address.length),
        ]
        : [];
      return {
        number: nr,
        args: [this.#fd(fd), this.#buffer(buffer, most), most, ...rest],
        ...this.#sends(fd, bits, address?.port ?? null),
      };
    };
    const simple = (nr: number): Maker => ([fd, ...rest]) => ({
      number: nr,
      args: [this.#fd(fd), ...rest.map((e) => optional(e, 0))],
    });
    return {
      socket: (args, expected) => this.#socket(args, expected),
      bind: ([fd, to, length]) => ({
        number: 49,
        args: [this.#fd(fd), ...this.#addressArgs(to, length, false)],
      }),
      connect: ([fd, to, length]) => {
        const [at, size] = this.#addressArgs(to, length, true);
        const port = endpoint(to).port ?? this.#defaults.connectPort;
        const file = this.#files.get(number(fd!));
        if (file !== undefined) file.connected = endpoint(to).family !== K.AF_UNSPEC;
        return { number: 42, args: [this.#fd(fd), at!, size!], ...this.#connects(fd, port) };
      },
      listen: simple(50),
      accept: ([fd, at], expected) => ({ ...this.#names(43, fd, at), ...this.#opens("tcp", expected) }),
      accept4: ([fd, at, , flags], expected) => {
        const made = this.#names(288, fd, at);
        return { ...made, args: [...made.args, optional(flags, 0)], ...this.#opens("tcp", expected) };
      },
      read: receive(0),
      recv: receive(45),
      recvfrom: receive(45),
      write: send(1),
      send: send(44),
      sendto: send(44),
      readv: ([fd, vector, count]) => this.#vector(19, fd, vector, count),
      writev: ([fd, vector, count]) => this.#vector(20, fd, vector, count),
      sendmsg: ([fd, message, flags]) => {
        const bits = optional(flags, 0);
        const { at, port } = this.#messages.outgoing(
          message,
          this.#talksTo(fd, field(message, "msg_name", 0)),
        );
        return {
          number: 46,
          args: [this.#fd(fd), this.#arena.address(at), bits],
          ...this.#sends(fd, bits, port),
        };
      },
      recvmsg: ([fd, message, flags]) => {
        const { at, check } = this.#messages.incoming(message);
        return {
          number: 47,
          args: [this.#fd(fd), this.#arena.address(at), optional(flags, 0)],
          ended: check,
        };
      },
      shutdown: simple(48),
      close: ([fd]) => {
        const live = this.#fd(fd);
        this.#files.remove(number(fd!));
        return { number: 3, args: [live] };
      },
      fcntl: ([fd, command, value], expected) => {
        const wanted = number(command!);
        const copies = wanted === K.F_DUPFD || wanted === K.F_DUPFD_CLOEXEC;
        return {
          number: 72,
          args: [this.#fd(fd), wanted, optional(value, 0)],
          ...copies ? this.#copies(fd, expected) : {},
        };
      },
      dup: ([fd], expected) => ({ number: 32, args: [this.#fd(fd)], ...this.#copies(fd, expected) }),
      dup2: ([fd, to]) => this.#copyTo(fd, to),
      dup3: ([fd, to]) => this.#copyTo(fd, to),
      ioctl: ([fd, request, value]) => this.#options.ioctl(this.#fd(fd), number(request!), value),
      setsockopt: ([fd, level, name, value, size]) =>
        this.#options.set(this.#fd(fd), level!, name!, value!, size),
      getsockopt: ([fd, level, name, value, size]) =>
        this.#options.get(this.#fd(fd), level!, name!, value, size),
      getsockname: ([fd, at]) => this.#names(51, fd, at),
      getpeername: ([fd, at]) => this.#names(52, fd, at),
      poll: (args) => this.#waits.poll(args),
      ppoll: (args) => this.#waits.poll(args),
      epoll_pwait: (args) => this.#waits.epoll(args),
      epoll_create: ([size], expected) => ({
        number: 213,
        args: [optional(size, 1)],
        ...this.#opens("other", expected),
      }),
      epoll_create1: ([flags], expected) => ({
        number: 291,
        args: [optional(flags, 0)],
        ...this.#opens("other", expected),
      }),
      epoll_ctl: (args) => this.#waits.control(args),
      epoll_wait: (args) => this.#waits.epoll(args),
      open: (_args, expected) => ({
        number: 257,
        args: [-100, this.#path(), K.O_RDWR!, 0],
        ...this.#opens("other", expected),
      }),
      sendfile: ([to, from, at, length]) => {
        let offset = 0;
        if (at !== undefined && !isOpen(at)) {
          const place = this.#arena.take(8);
          this.#arena.view.setBigInt64(place, BigInt(number(at)), true);
          offset = this.#arena.address(place);
        }
        return { number: 40, args: [this.#fd(to), this.#fd(from), offset, number(length!)] };
      },
      pipe: (args) => this.#makers.pipe2!(args, 0),
      pipe2: ([list, flags]) => {
        const at = this.#arena.take(8);
        return {
          number: 293,
          args: [this.#arena.address(at), optional(flags, 0)],
          ended: () => {
            const wanted = list?.kind === "list" ? list.items : [];
            for (const i of [0, 1]) {
              const fd = this.#arena.view.getInt32(at + 4 * i, true);
              this.#files.add({ fd, kind: "other", remotePort: null }, optional(wanted[i], -1));
            }
            return null;
          },
        };
      },
      splice: ([from, , to, , length, flags]) => ({
        number: 275,
        args: [this.#fd(from), 0, this.#fd(to), 0, number(length!), optional(flags, 0)],
      }),
    };
  }

  #socket([family, type, protocol]: Expression[], expected: number): Made {
    const version = this.#defaults.ipVersion;
    const domain = isOpen(family) ? (version === "ipv4" ? K.AF_INET! : K.AF_INET6!) : number(family!);
    const kind = number(type!);
    return {
      number: 41,
      args: [domain, kind, optional(protocol, 0)],
      value: (fd) => {
        const base = kind & 0xf;
        const file: LiveFile = {
          fd,
          kind: base === K.SOCK_STREAM ? "tcp" : base === K.SOCK_DGRAM ? "udp" : "other",
          remotePort: null,
        };
        const { congestion } = this.#settings;
        if (file.kind === "tcp" && congestion !== null) {
          this.#files.setText(fd, K.TCP_CONGESTION!, congestion);
        }
        this.#watcher.opened(new Opened(this.#files, file));
        return this.#files.add(file, expected);
      },
    };
  }

  #vector(nr: number, fd: Expression | undefined, vector: Expression | undefined, count?: Expression): Made {
    const { at, count: entries } = this.#messages.vector(vector);
    return { number: nr, args: [this.#fd(fd), this.#arena.address(at), optional(count, entries)] };
  }

  /** A call that gives an address. */
  #names(nr: number, fd: Expression | undefined, expected: Expression | undefined): Made {
    const args = this.#from();
    const { view } = this.#arena;
    const at = args[0]! - this.#arena.address(0);
    return {
      number: nr,
      args: [this.#fd(fd), ...args],
      ended: () => {
        const v6 = view.getUint16(at, true) === K.AF_INET6;
        const address = IpAddress.read(v6 ? 6 : 4, view, at + (v6 ? 8 : 4));
        return addressMismatch(expected, address, view.getUint16(at + 2));
      },
    };
  }

  #copies(fd: Expression | undefined, expected: number): Pick<Made, "value"> {
    const file = this.#files.get(number(fd!));
    return {
      value: (live) =>
        this.#files.add({ ...file ?? { kind: "other", remotePort: null }, fd: live }, expected),
    };
  }

  /** The number of the kernel's is its own choice: what the script called so before is closed first. */
  #copyTo(fd: Expression | undefined, to: Expression | undefined): Made {
    const wanted = number(to!);
    return { number: 32, args: [this.#fd(fd)], ...this.#copies(fd, wanted) };
  }

  /** Room for an address, and its length. */
  #from(address?: Expression, size?: Expression): number[] {
    if (
      address !== undefined && field(address, "sa_family", 0) === undefined && address.kind !== "ellipsis"
    ) {
      return [0, 0];
    }
    void size;
    const room = this.#arena.take(128), length = this.#arena.take(4);
    this.#arena.view.setUint32(length, 128, true);
    return [this.#arena.address(room), this.#arena.address(length)];
  }

  #path(): number {
    if (this.#zeros === null) {
      this.#zeros = Deno.makeTempFileSync({ prefix: "ethox-packetdrill-" });
      Deno.truncateSync(this.#zeros, 64 << 20);
      const path = this.#zeros;
      globalThis.addEventListener("unload", () => Deno.removeSync(path));
    }
    const bytes = new TextEncoder().encode(this.#zeros);
    const at = this.#arena.take(bytes.length + 1);
    this.#arena.bytes.set(bytes, at);
    return this.#arena.address(at);
  }
}

/** A socket whose ports are asked for when they are needed. */
class Opened {
  readonly #files: Files;
  readonly #file: LiveFile;
  readonly protocol: "tcp" | "udp";

  constructor(files: Files, file: LiveFile) {
    this.#files = files;
    this.#file = file;
    this.protocol = file.kind === "udp" ? "udp" : "tcp";
  }

  get localPort(): number {
    return this.#files.localPort(this.#file);
  }

  get remotePort(): number | null {
    return this.#file.remotePort;
  }
}
