/**
 * The system calls that scripts make, over the emulated sockets.
 *
 * @module
 */

import type { IpAddress } from "../../../stack/ip/address.ts";
import type { CallSpec, Expression } from "./ast.ts";
import { CONSTANTS as K } from "./constants.ts";
import { messageMismatch } from "./control.ts";
import { Descriptors } from "./descriptors.ts";
import { Epoll, epollWait, poll } from "./epoll.ts";
import { sendFastOpen } from "./fast_open.ts";
import { type Attempt, done, type Host, type OpenFile, result, SysError } from "./file.ts";
import { getOption } from "./get_option.ts";
import { type Asked, askedOf, receivedMismatch, STAMP_TOLERANCE } from "./messages.ts";
import { ByteFile, makePipe, splice, ZeroFile } from "./pipe.ts";
import type { Watcher } from "./system.ts";
import { TcpSocket } from "./tcp_socket.ts";
import { UdpSocket } from "./udp_socket.ts";
import {
  addressMismatch,
  endpoint,
  field,
  isOpen,
  number,
  optional,
  Unsupported,
  vectorLength,
} from "./values.ts";

/** Numbers of socket types end here. */
const SOCK_MAX = 11;

/** A call's way from its arguments to what it does. */
type Call = (args: Expression[], expected: number) => Attempt;

/** The calls, and the files of one script. */
export class Kernel {
  readonly #host: Host;
  readonly #watcher: Watcher;
  readonly #files = new Descriptors();
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
    return this.#files.need(number(e ?? { kind: "ellipsis" }));
  }

  #socket(e: Expression | undefined): TcpSocket | UdpSocket {
    const file = this.#file(e);
    if (file instanceof TcpSocket || file instanceof UdpSocket) return file;
    throw new SysError("ENOTSOCK");
  }

  #table(): Record<string, Call> {
    const send = (
      fd: Expression | undefined,
      length: number,
      flags: number,
      to?: Expression,
      buffer?: Expression,
    ): Attempt => {
      const file = this.#file(fd);
      if (length < 0) throw new SysError("EFAULT");
      if (file instanceof ByteFile) return file.write(length);
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
      const file = this.#file(fd);
      if (length < 0) throw new SysError("EFAULT");
      if (flags & K.MSG_ERRQUEUE! && !(file instanceof ByteFile)) {
        return this.#errors(this.#socket(fd), undefined);
      }
      const attempt = file instanceof ByteFile ? file.read(length) : this.#socket(fd).read(length, flags);
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
      bind: ([fd, to, size]) => {
        const socket = this.#socket(fd);
        this.#checkAddress(socket, to, size);
        const at = endpoint(to);
        const { bindPort, localAddress } = this.#host;
        const address = at.address ?? localAddress;
        const port = at.port ?? bindPort;
        if (socket instanceof TcpSocket) this.#checkFree(socket, address, port);
        return socket.bind(address, port);
      },
      listen: ([fd, backlog]) => this.#tcp(fd).listen(number(backlog!)),
      connect: ([fd, to, size]) => {
        const socket = this.#socket(fd);
        if (to?.kind === "struct" && endpoint(to).family === K.AF_UNSPEC) return this.#disconnect(socket);
        this.#checkAddress(socket, to, size);
        const at = endpoint(to);
        const attempt = this.#catching(() =>
          socket.connect(at.address ?? this.#host.remoteAddress, at.port ?? this.#host.connectPort)
        );
        this.#watcher.connected(socket);
        return attempt();
      },
      accept: ([fd, at], expected) => this.#accept(this.#tcp(fd), at, 0, expected),
      accept4: ([fd, at, _length, flags], expected) =>
        this.#accept(this.#tcp(fd), at, optional(flags, 0), expected),
      read: ([fd, buffer, length]) => receive(fd, number(length!), 0, buffer),
      readv: ([fd, vector]) => receive(fd, vectorLength(vector), 0),
      recv: ([fd, buffer, length, flags]) => receive(fd, number(length!), number(flags!), buffer),
      recvfrom: ([fd, buffer, length, flags, from]) => {
        const attempt = receive(fd, number(length!), number(flags!), buffer);
        const socket = this.#file(fd);
        return {
          deadline: attempt.deadline,
          run: () => {
            const got = attempt.run();
            const last = socket instanceof UdpSocket ? socket.last : null;
            return got === null || last === null
              ? got
              : result(got.value, addressMismatch(from, last.source, last.port));
          },
        };
      },
      recvmsg: ([fd, message, flags]) => this.#receiveMessage(this.#socket(fd), message!, number(flags!)),
      write: ([fd, buffer, length]) => send(fd, number(length!), 0, undefined, buffer),
      writev: ([fd, vector]) => send(fd, vectorLength(vector), 0),
      send: ([fd, buffer, length, flags]) => send(fd, number(length!), number(flags!), undefined, buffer),
      sendto: ([fd, buffer, length, flags, to]) => send(fd, number(length!), number(flags!), to, buffer),
      sendmsg: ([fd, message, flags]) =>
        this.#send(
          this.#socket(fd),
          vectorLength(field(message, "msg_iov", 1)),
          number(flags!),
          field(message, "msg_name", 0),
          askedOf(message),
        ),
      sendfile: ([fd, from, _at, length]) => {
        if (!(this.#file(from) instanceof ZeroFile)) throw new SysError("EINVAL");
        return send(fd, number(length!), 0);
      },
      splice: ([from, , to, , length, flags]) =>
        splice(this.#file(from), this.#file(to), number(length!), optional(flags, 0)),
      pipe: ([list]) => this.#pipe(list, 0),
      pipe2: ([list, flags]) => this.#pipe(list, optional(flags, 0)),
      dup: ([fd], expected) => this.#files.copy(number(fd!), expected),
      dup2: ([fd, to]) => this.#files.copyTo(number(fd!), number(to!)),
      dup3: ([fd, to, flags]) => this.#files.copyTo(number(fd!), number(to!), optional(flags, 0) !== 0),
      shutdown: ([fd, how]) => this.#socket(fd).shutdown(number(how!)),
      close: ([fd]) => this.#close(number(fd!)),
      fcntl: ([fd, command, value], expected) =>
        this.#files.control(number(fd!), number(command!), optional(value, 0), expected),
      ioctl: ([fd, request, value]) => this.#ioctl(this.#file(fd), number(request!), value),
      poll: ([list, _count, timeout]) => poll(list, number(timeout!), this.#now, (fd) => this.#files.get(fd)),
      ppoll: ([list, _count, timeout]) =>
        poll(list, isOpen(timeout) ? -1 : milliseconds(timeout), this.#now, (fd) => this.#files.get(fd)),
      open: (_args, expected) => done(this.#files.add(new ZeroFile(), expected)),
      epoll_create: ([size], expected) => {
        if (optional(size, 1) <= 0) throw new SysError("EINVAL");
        return done(this.#files.add(new Epoll(), expected));
      },
      epoll_create1: ([flags], expected) => {
        const bits = optional(flags, 0);
        if (bits & ~K.EPOLL_CLOEXEC!) throw new SysError("EINVAL");
        return done(this.#files.add(new Epoll(), expected, bits !== 0));
      },
      epoll_ctl: ([fd, operation, target, event]) => {
        const epoll = this.#file(fd);
        if (!(epoll instanceof Epoll)) throw new SysError("EINVAL");
        if (this.#file(target) === epoll) throw new SysError("EINVAL");
        const mask = optional(field(event, "events", 0), 0);
        epoll.control(number(operation!), number(target!), this.#file(target), mask);
        return done(0);
      },
      epoll_wait: (args) => this.#epollWait(args),
      epoll_pwait: (args) => this.#epollWait(args),
      setsockopt: ([fd, level, name, value, size]) => {
        const socket = this.#socket(fd);
        const connection = socket instanceof TcpSocket ? socket.connection : null;
        socket.options.set(level!, name!, value!, size, connection, this.#host, socket.version);
        if (socket instanceof TcpSocket) socket.errorQueue.stampingSet(socket.options.stamping);
        if (socket instanceof TcpSocket) socket.tuneListener();
        return done(0);
      },
      getsockopt: ([fd, level, name, value, size]) =>
        getOption(this.#host, this.#socket(fd), level!, name!, value, size),
      getsockname: ([fd, at]) => {
        const socket = this.#socket(fd);
        return done(0, addressMismatch(at, socket.localAddress, socket.localPort));
      },
      getpeername: ([fd, at]) => {
        const socket = this.#socket(fd);
        const { remoteAddress, remotePort } = socket;
        if (remotePort === null || !socket.hasPeer) throw new SysError("ENOTCONN");
        return done(0, addressMismatch(at, remoteAddress, remotePort));
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
    const domain = isOpen(family) ? null : number(family!);
    if (domain !== null && domain !== K.AF_INET && domain !== K.AF_INET6) throw new SysError("EAFNOSUPPORT");
    const version = domain === null ? this.#version : domain === K.AF_INET6 ? 6 : 4;
    const kind = number(type!);
    const base = kind & 0xf;
    const number_ = optional(protocol, 0);
    if (base === K.SOCK_STREAM && number_ !== 0 && number_ !== K.IPPROTO_TCP) {
      throw new SysError("EPROTONOSUPPORT");
    }
    if (base === K.SOCK_DGRAM && number_ !== 0 && number_ !== K.IPPROTO_UDP) {
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
    return done(this.#files.add(socket, expected, (kind & K.SOCK_CLOEXEC!) !== 0));
  }

  #accept(listener: TcpSocket, at: Expression | undefined, flags: number, expected: number): Attempt {
    if (flags & ~(K.SOCK_NONBLOCK! | K.SOCK_CLOEXEC!)) throw new SysError("EINVAL");
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
        if (listener.options.saveSyn) socket.savedSyn = accepted.connection.path.headerLength + SYN_HEADER;
        const fd = this.#files.add(socket, expected, (flags & K.SOCK_CLOEXEC!) !== 0);
        return result(fd, addressMismatch(at, socket.remoteAddress, socket.remotePort ?? 0));
      },
    };
  }

  #send(
    socket: TcpSocket | UdpSocket,
    length: number,
    flags: number,
    to?: Expression,
    asked: Asked = { stamping: null },
  ): Attempt {
    const at = endpoint(to);
    const { remoteAddress, connectPort } = this.#host;
    if (socket instanceof UdpSocket) {
      // `...` is the peer where there is one, and the usual peer otherwise.
      const named = to !== undefined && !(to.kind === "symbol" || (to.kind === "number" && to.value === 0));
      if (!named || (to.kind === "ellipsis" && socket.remotePort !== null)) {
        return socket.send(length, flags, null, null, asked);
      }
      const attempt = this.#catching(() =>
        socket.send(length, flags, at.address ?? remoteAddress, at.port ?? connectPort, asked)
      );
      this.#watcher.connected(socket);
      return attempt();
    }
    if ((flags & K.MSG_FASTOPEN!) === 0 && socket.deferred === null) {
      return socket.write(length, flags, asked.stamping);
    }
    const { address, port } = socket.deferred ??
      { address: at.address ?? remoteAddress, port: at.port ?? connectPort };
    const nowhere = to !== undefined && (to.kind === "symbol" || (to.kind === "number" && to.value === 0));
    if (nowhere && socket.connection === null && socket.deferred === null) throw new SysError("EINVAL");
    const attempt = this.#catching(() => sendFastOpen(socket, length, flags, address, port));
    this.#watcher.connected(socket);
    return attempt();
  }

  /** recvmsg: the length of all pieces, then flags and control messages. */
  #receiveMessage(socket: TcpSocket | UdpSocket, message: Expression, flags: number): Attempt {
    if (flags & K.MSG_ERRQUEUE!) return this.#errors(socket, message);
    const room = vectorLength(field(message, "msg_iov", 1));
    const attempt = socket.read(room, flags);
    return {
      deadline: attempt.deadline,
      run: () => {
        const got = attempt.run();
        if (got === null || got.value < 0) return got;
        return result(got.value, receivedMismatch(socket, message, room));
      },
    };
  }

  /** MSG_ERRQUEUE: never waits. */
  #errors(socket: TcpSocket | UdpSocket, message: Expression | undefined): Attempt {
    const got = socket instanceof TcpSocket ? socket.errorQueue.take() : socket.takeQueuedError();
    if (got === null) throw new SysError("EAGAIN");
    return done(0, messageMismatch(message, got.control, got.flags, STAMP_TOLERANCE));
  }

  /** Looks at what has happened to what was sent. @param now In µs from the start of the script. */
  update(now: number): void {
    for (const file of this.#files.all()) if (file instanceof TcpSocket) file.update(now);
  }

  #close(fd: number): Attempt {
    this.#files.need(fd);
    const file = this.#files.remove(fd);
    if (file === null) return done(0);
    for (const other of this.#files.all()) if (other instanceof Epoll) other.forget(file);
    return file.close() ?? done(0);
  }

  #pipe(list: Expression | undefined, flags: number): Attempt {
    const wanted = list?.kind === "list" ? list.items : [];
    for (const [i, end] of makePipe().entries()) {
      end.nonblocking = (flags & K.O_NONBLOCK!) !== 0;
      this.#files.add(end, optional(wanted[i], -1), (flags & K.O_CLOEXEC!) !== 0);
    }
    return done(0);
  }

  #epollWait([fd, events, most, timeout]: Expression[]): Attempt {
    const epoll = this.#file(fd);
    if (!(epoll instanceof Epoll)) throw new SysError("EINVAL");
    return epollWait(epoll, events, number(most!), number(timeout!), this.#now);
  }

  /** What every call with an address looks at first. */
  #checkAddress(
    socket: TcpSocket | UdpSocket,
    to: Expression | undefined,
    size: Expression | undefined,
  ): void {
    if (to?.kind !== "struct") return;
    const least = socket.version === 4 ? 16 : 24;
    if (size !== undefined && !isOpen(size) && number(size) < least) throw new SysError("EINVAL");
    const { family } = endpoint(to);
    const own = socket.version === 4 ? K.AF_INET : K.AF_INET6;
    if (family !== null && family !== own && family !== K.AF_UNSPEC) throw new SysError("EAFNOSUPPORT");
  }

  /** Whether a TCP socket may be bound: the address is one of ours, and nobody else has the port. */
  #checkFree(socket: TcpSocket, address: IpAddress, port: number): void {
    const { stack } = this.#host;
    if (!address.isUnspecified && !socket.options.freeBind && !stack.isLocal(address)) {
      throw new SysError("EADDRNOTAVAIL");
    }
    if (port === 0 || socket.bound !== null) return;
    for (const other of this.#files.all()) {
      if (!(other instanceof TcpSocket) || other === socket || other.bound?.port !== port) continue;
      const theirs = other.bound.address;
      const meet = theirs === null || theirs.isUnspecified || address.isUnspecified || theirs.equals(address);
      const shared = socket.options.reuse(other.options, other.listener !== null);
      if (meet && !shared) throw new SysError("EADDRINUSE");
    }
  }

  /** connect to AF_UNSPEC: the socket has no peer any more. */
  #disconnect(socket: TcpSocket | UdpSocket): Attempt {
    socket.disconnect();
    return done(0);
  }

  #ioctl(file: OpenFile, request: number, value: Expression | undefined): Attempt {
    if (request === K.FIONBIO) {
      file.nonblocking = number(value!) !== 0;
      return done(0);
    }
    if (request === K.FIOCLEX || request === K.FIONCLEX || request === K.FIOASYNC) return done(0);
    if (request === K.SIOCATMARK) {
      const wanted = optional(value, 0);
      return done(0, wanted === 0 ? null : `${wanted} got 0`);
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
}

/** Bytes of a SYN's header with the usual options. */
const SYN_HEADER = 40;

/** A struct timespec in whole ms. */
function milliseconds(e: Expression | undefined): number {
  return optional(field(e, "tv_sec", 0), 0) * 1000 + optional(field(e, "tv_nsec", 1), 0) / 1e6;
}

/** Whether a script gives an address where nothing is. */
function isBadAddress(buffer: Expression | undefined): boolean {
  return buffer !== undefined &&
    (buffer.kind === "number" || (buffer.kind === "symbol" && buffer.name === "NULL"));
}
