/**
 * Pipes and files, as far as sockets are fed from them and emptied into them: splice and sendfile. Bytes are only counted:
 * a script says nothing of what they are.
 *
 * @module
 */

import { CONSTANTS as K } from "./constants.ts";
import { type Attempt, type CallResult, done, OpenFile, result, SysError } from "./file.ts";

/** Bytes that a pipe holds. */
const CAPACITY = 65_536;

/** A file that is no socket, of which bytes are read or written. */
export abstract class ByteFile extends OpenFile {
  /** @throws {SysError} */
  abstract read(length: number): Attempt;
  /** @throws {SysError} */
  abstract write(length: number): Attempt;
}

/** A file of zeros without an end. */
export class ZeroFile extends ByteFile {
  read(length: number): Attempt {
    return done(length);
  }

  write(length: number): Attempt {
    return done(length);
  }

  ready(): number {
    return K.EPOLLIN! | K.EPOLLOUT!;
  }

  close(): null {
    return null;
  }
}

/** What both ends of a pipe share. */
class PipeState {
  count = 0;
  readers = 1;
  writers = 1;
  ends: PipeEnd[] = [];

  get room(): number {
    return CAPACITY - this.count;
  }

  moved(bytes: number): void {
    this.count += bytes;
    for (const end of this.ends) end.events++;
  }
}

/** One end of a pipe. */
export class PipeEnd extends ByteFile {
  readonly state: PipeState;
  readonly writes: boolean;

  constructor(state: PipeState, writes: boolean) {
    super();
    this.state = state;
    this.writes = writes;
    state.ends.push(this);
  }

  override get access(): number {
    return this.writes ? 1 : 0;
  }

  read(length: number): Attempt {
    if (this.writes) throw new SysError("EBADF");
    const { state } = this;
    return {
      deadline: Infinity,
      run: () => {
        const taken = Math.min(length, state.count);
        if (taken === 0 && length > 0 && state.writers > 0) {
          if (this.nonblocking) throw new SysError("EAGAIN");
          return null;
        }
        state.moved(-taken);
        return result(taken);
      },
    };
  }

  write(length: number): Attempt {
    if (!this.writes) throw new SysError("EBADF");
    const { state } = this;
    let total = 0;
    return {
      deadline: Infinity,
      run: () => {
        if (state.readers === 0) throw new SysError("EPIPE");
        const put = Math.min(length - total, state.room);
        state.moved(put);
        total += put;
        if (total === length) return result(total);
        if (!this.nonblocking) return null;
        if (total > 0) return result(total);
        throw new SysError("EAGAIN");
      },
    };
  }

  ready(): number {
    const { state } = this;
    if (this.writes) {
      return (state.room > 0 ? K.EPOLLOUT! | K.EPOLLWRNORM! : 0) | (state.readers === 0 ? K.EPOLLERR! : 0);
    }
    return (state.count > 0 ? K.EPOLLIN! | K.EPOLLRDNORM! : 0) | (state.writers === 0 ? K.EPOLLHUP! : 0);
  }

  close(): null {
    if (this.writes) this.state.writers--;
    else this.state.readers--;
    this.state.moved(0);
    return null;
  }
}

/** The ends of a new pipe: to read from, and to write to. */
export function makePipe(): [PipeEnd, PipeEnd] {
  const state = new PipeState();
  return [new PipeEnd(state, false), new PipeEnd(state, true)];
}

/** A socket, as far as splice needs it. */
export interface SpliceSocket {
  nonblocking: boolean;
  read(length: number, flags: number): Attempt;
  write(length: number, flags: number): Attempt;
}

/** What a splice with a socket does to the two ends. */
export function splice(from: OpenFile, to: OpenFile, length: number, flags: number): Attempt {
  const wait = (flags & K.SPLICE_F_NONBLOCK!) === 0;
  const more = flags & K.SPLICE_F_MORE! ? K.MSG_MORE! : 0;
  const source = from instanceof PipeEnd ? from : null, sink = to instanceof PipeEnd ? to : null;
  if (source === null && sink === null) throw new SysError("EINVAL");
  if (source?.writes === true || sink?.writes === false) throw new SysError("EBADF");
  if (length === 0) return done(0);
  if (sink !== null) return fill(from, sink, length, wait);
  const { state } = source!;
  let writing: Attempt | null = null;
  return {
    deadline: Infinity,
    run: () => {
      if (writing === null) {
        if (state.count === 0) {
          if (state.writers === 0) return result(0);
          if (!wait || source!.nonblocking) throw new SysError("EAGAIN");
          return null;
        }
        const taken = Math.min(length, state.count);
        writing = to instanceof ByteFile ? to.write(taken) : asSocket(to).write(taken, more);
      }
      const got = writing.run();
      if (got !== null && got.value > 0) state.moved(-got.value);
      return got;
    },
  };
}

/** Takes from a socket or another file, once there is room in the pipe. */
function fill(from: OpenFile, sink: PipeEnd, length: number, wait: boolean): Attempt {
  const { state } = sink;
  let reading: Attempt | null = null;
  return {
    deadline: Infinity,
    run: () => {
      if (reading === null) {
        if (state.readers === 0) throw new SysError("EPIPE");
        if (state.room === 0) {
          if (!wait || sink.nonblocking) throw new SysError("EAGAIN");
          return null;
        }
        const most = Math.min(length, state.room);
        reading = from instanceof ByteFile
          ? from.read(most)
          // Whether a socket waits is its own affair.
          : asSocket(from).read(most, 0);
      }
      const got: CallResult | null = reading.run();
      if (got !== null && got.value > 0) state.moved(got.value);
      return got;
    },
  };
}

function asSocket(file: OpenFile): SpliceSocket {
  if ("read" in file && "write" in file) return file as unknown as SpliceSocket;
  throw new SysError("EINVAL");
}
