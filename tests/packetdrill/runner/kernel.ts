/**
 * The system calls that scripts make, over the emulated sockets.
 *
 * @module
 */

import { tcpInfo } from "../../../stack/tcp/info.ts";
import type { CallSpec, Expression } from "./ast.ts";
import { CONSTANTS as K } from "./constants.ts";
import { ERRNO } from "./errno.ts";
import { type Control, messageMismatch } from "./control.ts";
import { Epoll, epollWait, poll } from "./epoll.ts";
import { sendFastOpen } from "./fast_open.ts";
import { type Attempt, done, type Host, OpenFile, result, SysError } from "./file.ts";
import type { Watcher } from "./system.ts";
import { TcpSocket } from "./tcp_socket.ts";
import { UdpSocket } from "./udp_socket.ts";
import { endpoint, field, isOpen, number, optional, Unsupported, vectorLength } from "./values.ts";

/** Numbers of socket types end here. */
const SOCK_MAX = 11;
/** How far a timestamp may be from what a script says, in µs. */
const STAMP_TOLERANCE = 10_000;

/** A call's way from its arguments to what it does. */
type Call = (args: Expression[], expected: number) => Attempt;

/** The calls, and the files of one script. */
export class Kernel {
  readonly #host: Host;
  readonly #watcher: Watcher;
  readonly #files = new Map<number, OpenFile>();
  readonly #calls: Record<string, Call>;
  /** IP version of the script's sockets: 46 for IPv4 in IPv6 sockets. */
  readonly #version: 4 | 6;

  constructor(host: Host, version: 4 | 6, watcher: Watcher) {
    this.#host = host;
    this.#version = version;
    this.#watcher = watcher;
    this.#calls = this.#table();
  }

  /**
   * Begins a call.
   * @param expected What it is to return: a new file gets this number. @throws {SysError} It fails at once.
   * @throws {Unsupported} The runner does not know it.
   */
  call(spec: CallSpec, expected: number): Attempt {
    const call = this.#calls[spec.name];
    if (call === undefined) throw new Unsupported(`System call "${spec.name}" is not supported`);
    return call(spec.args, expected);
  }

  /** The TCP socket of a file, or of the newest connection when there is no such file. */
  tcp(fd: number): TcpSocket | null {
    const file = this.#files.get(fd);
    return file instanceof TcpSocket ? file : null;
  }

  #file(e: Expression | undefined): OpenFile {
    const file = this.#files.get(number(e ?? { kind: "ellipsis" }));
    if (file === undefined) throw new SysError("EBADF");
    return file;
  }

  #socket(e: Expression | undefined): TcpSocket | UdpSocket {
    const file = this.#file(e);
    if (file instanceof TcpSocket || file instanceof UdpSocket) return file;
    throw new SysError("ENOTSOCK");
  }

  /** Files get the numbers that the script expects. */
  #add(file: OpenFile, expected: number): number {
    let fd = expected;
    if (fd < 0 || this.#files.has(fd)) { for (fd = 3; this.#files.has(fd); fd++); }
    this.#files.set(fd, file);
    return fd;
  }

  #table(): Record<string, Call> {
    const send = (
      fd: Expression | undefined,
      length: number,
      flags: number,
      to?: Expression,
      buffer?: Expression,
    ): Attempt => {
      const socket = this.#socket(fd);
      if (length > 0 && isBadAddress(buffer)) throw new SysError("EFAULT");
      return this.#send(socket, length, flags, to);
    };
    const receive = (
      fd: Expression | undefined,
      length: number,
      flags: number,
      buffer?: Expression,
    ): Attempt => {
      const attempt = this.#socket(fd).read(length, flags);
      if (!isBadAddress(buffer)) return attempt;
      return {
        deadline: attempt.deadline,
        run: () => {
          const got = attempt.run();
          if (got !== null && got.value > 0) throw new SysError("EFAULT");
          return got;
        },
      };
    };
    return {
      socket: (args, expected) => this.#open(args, expected),
      bind: ([fd, to]) => {
        const at = endpoint(to);
        const { bindPort, localAddress } = this.#host;
        return this.#socket(fd).bind(at.address ?? localAddress, at.port ?? bindPort);
      },
      listen: ([fd, backlog]) => this.#tcp(fd).listen(number(backlog!)),
      connect: ([fd, to]) => {
        const socket = this.#socket(fd);
        const at = endpoint(to);
        const attempt = this.#catching(() =>
          socket.connect(at.address ?? this.#host.remoteAddress, at.port ?? this.#host.connectPort)
        );
        this.#watcher.connected(socket);
        return attempt();
      },
      accept: ([fd], expected) => this.#accept(this.#tcp(fd), 0, expected),
      accept4: ([fd, _address, _length, flags], expected) =>
        this.#accept(this.#tcp(fd), optional(flags, 0), expected),
      read: ([fd, buffer, length]) => receive(fd, number(length!), 0, buffer),
      readv: ([fd, vector]) => receive(fd, vectorLength(vector), 0),
      recv: ([fd, buffer, length, flags]) => receive(fd, number(length!), number(flags!), buffer),
      recvfrom: ([fd, buffer, length, flags]) => receive(fd, number(length!), number(flags!), buffer),
      recvmsg: ([fd, message, flags]) => this.#receiveMessage(this.#socket(fd), message!, number(flags!)),
      write: ([fd, buffer, length]) => send(fd, number(length!), 0, undefined, buffer),
      writev: ([fd, vector]) => send(fd, vectorLength(vector), 0),
      send: ([fd, buffer, length, flags]) => send(fd, number(length!), number(flags!), undefined, buffer),
      sendto: ([fd, buffer, length, flags, to]) => send(fd, number(length!), number(flags!), to, buffer),
      sendmsg: ([fd, message, flags]) =>
        send(fd, vectorLength(field(message, "msg_iov", 1)), number(flags!), field(message, "msg_name", 0)),
      sendfile: ([fd, _from, _at, length]) => send(fd, number(length!), 0),
      shutdown: ([fd, how]) => this.#tcp(fd).shutdown(number(how!)),
      close: ([fd]) => this.#close(number(fd!)),
      fcntl: ([fd, command, value]) => this.#fcntl(this.#file(fd), number(command!), value),
      ioctl: ([fd, request, value]) => this.#ioctl(this.#file(fd), number(request!), value),
      poll: ([list, _count, timeout]) =>
        poll(list, number(timeout!), this.#now, (fd) => this.#files.get(fd) ?? null),
      open: (_args, expected) => done(this.#add(new ZeroFile(), expected)),
      epoll_create: (_args, expected) => done(this.#add(new Epoll(), expected)),
      epoll_create1: (_args, expected) => done(this.#add(new Epoll(), expected)),
      epoll_ctl: ([fd, operation, target, event]) => {
        const epoll = this.#file(fd);
        if (!(epoll instanceof Epoll)) throw new SysError("EINVAL");
        if (this.#file(target) === epoll) throw new SysError("EINVAL");
        const mask = optional(field(event, "events", 0), 0);
        epoll.control(number(operation!), number(target!), this.#file(target), mask);
        return done(0);
      },
      epoll_wait: ([fd, events, most, timeout]) => {
        const epoll = this.#file(fd);
        if (!(epoll instanceof Epoll)) throw new SysError("EINVAL");
        return epollWait(epoll, events, number(most!), number(timeout!), this.#now);
      },
      setsockopt: ([fd, level, name, value]) => {
        const socket = this.#socket(fd);
        const connection = socket instanceof TcpSocket ? socket.connection : null;
        socket.options.set(level!, name!, value!, connection, this.#host);
        if (socket instanceof TcpSocket) socket.errorQueue.stampingSet(socket.options.stamping);
        if (socket instanceof TcpSocket) socket.tuneListener();
        return done(0);
      },
      getsockopt: ([fd, level, name, value, size]) =>
        this.#getOption(this.#socket(fd), level!, name!, value, size),
      getsockname: ([fd]) => (this.#socket(fd), done(0)),
      getpeername: ([fd]) => {
        const socket = this.#socket(fd);
        if (socket instanceof TcpSocket && socket.connection === null) throw new SysError("ENOTCONN");
        return done(0);
      },
    };
  }

  readonly #now = (): number => this.#host.stack.now;

  /** Runs `begin` now, and gives what it gives, or throws, when asked. */
  #catching(begin: () => Attempt): () => Attempt {
    try {
      const attempt = begin();
      return () => attempt;
    } catch (error) {
      return () => {
        throw error;
      };
    }
  }

  #tcp(e: Expression | undefined): TcpSocket {
    const socket = this.#socket(e);
    if (socket instanceof TcpSocket) return socket;
    throw new SysError("EOPNOTSUPP");
  }

  #open([family, type, protocol]: Expression[], expected: number): Attempt {
    const version = isOpen(family) ? this.#version : number(family!) === K.AF_INET6 ? 6 : 4;
    const kind = number(type!);
    const base = kind & 0xf;
    const number_ = optional(protocol, 0);
    if (base === K.SOCK_STREAM && number_ !== 0 && number_ !== K.IPPROTO_TCP) {
      throw new SysError("EPROTONOSUPPORT");
    }
    if (base >= SOCK_MAX) throw new SysError("EINVAL");
    if (base !== K.SOCK_STREAM && base !== K.SOCK_DGRAM) throw new SysError("ESOCKTNOSUPPORT");
    const socket = base === K.SOCK_STREAM
      ? new TcpSocket(this.#host, version)
      : new UdpSocket(this.#host, version);
    socket.options.warn = (message) => this.#watcher.warn(message);
    socket.nonblocking = (kind & K.SOCK_NONBLOCK!) !== 0;
    this.#watcher.opened(socket);
    return done(this.#add(socket, expected));
  }

  #accept(listener: TcpSocket, flags: number, expected: number): Attempt {
    if (listener.listener === null) throw new SysError("EINVAL");
    const { receiveTimeout } = listener.options;
    const deadline = receiveTimeout === 0 ? Infinity : this.#now() + receiveTimeout;
    return {
      deadline,
      run: () => {
        const accepted = listener.accept();
        if (accepted === null) {
          if (listener.nonblocking || this.#now() >= deadline) throw new SysError("EAGAIN");
          return null;
        }
        const socket = new TcpSocket(this.#host, listener.version, listener.options.inherit());
        socket.nonblocking = (flags & K.SOCK_NONBLOCK!) !== 0;
        socket.adopt(accepted.connection);
        return result(this.#add(socket, expected));
      },
    };
  }

  #send(socket: TcpSocket | UdpSocket, length: number, flags: number, to?: Expression): Attempt {
    const at = endpoint(to);
    const { remoteAddress, connectPort } = this.#host;
    if (socket instanceof UdpSocket) {
      // `...` is the peer where there is one, and the usual peer otherwise.
      const named = to !== undefined && !(to.kind === "symbol" || (to.kind === "number" && to.value === 0));
      if (!named || (to.kind === "ellipsis" && socket.remotePort !== null)) {
        return socket.send(length, null, null);
      }
      const attempt = this.#catching(() =>
        socket.send(length, at.address ?? remoteAddress, at.port ?? connectPort)
      );
      this.#watcher.connected(socket);
      return attempt();
    }
    if ((flags & K.MSG_FASTOPEN!) === 0 && socket.deferred === null) return socket.write(length, flags);
    const { address, port } = socket.deferred ??
      { address: at.address ?? remoteAddress, port: at.port ?? connectPort };
    const attempt = this.#catching(() => sendFastOpen(socket, length, flags, address, port));
    this.#watcher.connected(socket);
    return attempt();
  }

  /** recvmsg: the length of all pieces, then flags and control messages. */
  #receiveMessage(socket: TcpSocket | UdpSocket, message: Expression, flags: number): Attempt {
    if (flags & K.MSG_ERRQUEUE!) return this.#errors(socket, message);
    const attempt = socket.read(vectorLength(field(message, "msg_iov", 1)), flags);
    return {
      deadline: attempt.deadline,
      run: () => {
        const got = attempt.run();
        if (got === null || got.value < 0) return got;
        return result(got.value, this.#controlMismatch(socket, message));
      },
    };
  }

  /** MSG_ERRQUEUE: never waits. */
  #errors(socket: TcpSocket | UdpSocket, message: Expression): Attempt {
    const got = socket instanceof TcpSocket ? socket.errorQueue.take() : null;
    if (got === null) throw new SysError("EAGAIN");
    return done(0, messageMismatch(message, got.control, got.flags, STAMP_TOLERANCE));
  }

  #controlMismatch(socket: TcpSocket | UdpSocket, message: Expression): string | null {
    const got: Control[] = [];
    const c = socket instanceof TcpSocket ? socket.connection : null;
    if (socket instanceof TcpSocket && c !== null) {
      const { stamping, inq } = socket.options;
      const wanted = K.SOF_TIMESTAMPING_RX_SOFTWARE! | K.SOF_TIMESTAMPING_SOFTWARE!;
      if ((stamping & wanted) === wanted && socket.readStamp !== null) {
        got.push({ level: K.SOL_SOCKET!, type: K.SCM_TIMESTAMPING!, values: null, stamp: socket.readStamp });
      }
      const waiting = socket.queued(K.SIOCINQ!) || (c.finReceived ? 1 : 0);
      if (inq) got.push({ level: K.SOL_TCP!, type: K.TCP_CM_INQ!, values: [waiting], stamp: null });
    }
    return messageMismatch(message, got, 0, STAMP_TOLERANCE);
  }

  /** Looks at what has happened to what was sent. @param now In µs from the start of the script. */
  update(now: number): void {
    for (const file of this.#files.values()) if (file instanceof TcpSocket) file.update(now);
  }

  #close(fd: number): Attempt {
    const file = this.#files.get(fd);
    if (file === undefined) throw new SysError("EBADF");
    this.#files.delete(fd);
    for (const other of this.#files.values()) if (other instanceof Epoll) other.forget(file);
    return file.close() ?? done(0);
  }

  #fcntl(file: OpenFile, command: number, value: Expression | undefined): Attempt {
    switch (command) {
      case K.F_GETFL:
        return done(K.O_RDWR! | (file.nonblocking ? K.O_NONBLOCK! : 0));
      case K.F_SETFL:
        file.nonblocking = (number(value!) & K.O_NONBLOCK!) !== 0;
        return done(0);
      case K.F_GETFD:
      case K.F_SETFD:
        return done(0);
    }
    throw new SysError("EINVAL");
  }

  #ioctl(file: OpenFile, request: number, value: Expression | undefined): Attempt {
    if (request === K.FIONBIO) {
      file.nonblocking = number(value!) !== 0;
      return done(0);
    }
    if (request !== K.SIOCINQ && request !== K.SIOCOUTQ && request !== K.SIOCOUTQNSD) {
      throw new Unsupported(`ioctl request ${request} is not supported`);
    }
    const got = file instanceof TcpSocket
      ? file.queued(request)
      : file instanceof UdpSocket && request === K.SIOCINQ
      ? file.waiting
      : 0;
    const wanted = optional(value, got);
    return done(0, wanted === got ? null : `${wanted} got ${got}`);
  }

  #getOption(
    socket: TcpSocket | UdpSocket,
    level: Expression,
    name: Expression,
    value: Expression | undefined,
    size: Expression | undefined,
  ): Attempt {
    void size;
    const option = name.kind === "symbol" ? name.name : String(number(name));
    const connection = socket instanceof TcpSocket ? socket.connection : null;
    if (option === "SO_ERROR") {
      const error = socket.takeError();
      const got = error === null ? 0 : ERRNO[error]![0];
      const wanted = isOpen(value) ? got : errorNumber(value!);
      return done(0, wanted === got ? null : `SO_ERROR ${wanted} got ${got} (${error ?? "no error"})`);
    }
    if (option === "TCP_INFO") {
      if (connection === null) return done(0);
      return done(0, infoMismatch(value, tcpInfo(connection) as unknown as Record<string, number>));
    }
    if (option === "SO_TYPE") return this.#compare(value, socket instanceof TcpSocket ? 1 : 2, option);
    if (option === "SO_PROTOCOL") return this.#compare(value, socket instanceof TcpSocket ? 6 : 17, option);
    if (option === "SO_DOMAIN") return this.#compare(value, socket.version === 4 ? 2 : 10, option);
    if (option === "SO_ACCEPTCONN") {
      return this.#compare(value, socket instanceof TcpSocket && socket.listener !== null ? 1 : 0, option);
    }
    if (option === "SO_RCVTIMEO" || option === "SO_SNDTIMEO") {
      const { receiveTimeout, sendTimeout } = socket.options;
      const micros = option === "SO_RCVTIMEO" ? receiveTimeout : sendTimeout;
      const wanted = value?.kind === "list" ? value.items[0] : value;
      const sec = Math.floor(micros / 1e6), usec = micros % 1e6;
      const fits = optional(field(wanted, "tv_sec", 0), sec) === sec &&
        optional(field(wanted, "tv_usec", 1), usec) === usec;
      return done(0, fits ? null : `${option} got {tv_sec=${sec}, tv_usec=${usec}}`);
    }
    if (option === "SO_LINGER") {
      const { on, seconds } = socket.options.linger;
      const wanted = value?.kind === "list" ? value.items[0] : value;
      const part = (key: string, place: number) => field(wanted, key, place);
      const onoff = optional(part("onoff", 0), on ? 1 : 0), linger = optional(part("linger", 1), seconds);
      const fits = onoff === (on ? 1 : 0) && linger === seconds;
      return done(0, fits ? null : `SO_LINGER got {onoff=${on ? 1 : 0}, linger=${seconds}}`);
    }
    return this.#compare(value, socket.options.get(level, name, connection, this.#host), option);
  }

  #compare(expected: Expression | undefined, got: number | string, option: string): Attempt {
    if (isOpen(expected)) return done(0);
    const e = expected!.kind === "list" && expected!.items.length === 1 ? expected!.items[0]! : expected!;
    const wanted = e.kind === "string" ? e.value.replace(/\0.*$/s, "") : isOpen(e) ? got : number(e);
    return done(0, wanted === got ? null : `${option} ${wanted} got ${got}`);
  }
}

/** A file of zeros: where `sendfile` takes its bytes from. */
class ZeroFile extends OpenFile {
  ready(): number {
    return K.EPOLLIN! | K.EPOLLOUT!;
  }

  close(): null {
    return null;
  }
}

/** Whether a script gives an address where nothing is. */
function isBadAddress(buffer: Expression | undefined): boolean {
  return buffer !== undefined &&
    (buffer.kind === "number" || (buffer.kind === "symbol" && buffer.name === "NULL"));
}

/** A number, or the name of an error. */
function errorNumber(e: Expression): number {
  const inner = e.kind === "list" && e.items.length === 1 ? e.items[0]! : e;
  const known = inner.kind === "symbol" ? ERRNO[inner.name] : undefined;
  return known === undefined ? number(inner) : known[0];
}

function infoMismatch(value: Expression | undefined, info: Record<string, number>): string | null {
  const struct = value?.kind === "list" ? value.items[0] : value;
  if (struct?.kind !== "struct") return null;
  for (const [name, expected] of struct.fields) {
    const got = info[name.replace(/^tcpi_/, "")];
    if (got === undefined || isOpen(expected)) continue;
    if (number(expected) !== got) return `${name}=${number(expected)} got ${got}`;
  }
  return null;
}
