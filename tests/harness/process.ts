/**
 * Programs that tests start: each has a deadline, keeps what it prints, and is gone when the test ends.
 *
 * @module
 */

/** How to start a program. */
export interface ProcessOptions {
  /** Milliseconds after which it is killed and counted as a failure; 60,000 by default. */
  deadline?: number;
  /** What it reads from its standard input; nothing by default, `"piped"` for {@link Process.write}. */
  input?: string | Uint8Array<ArrayBuffer> | "piped";
  /** Where it runs. */
  cwd?: string;
  /** Variables on top of ours. */
  env?: Record<string, string>;
}

/** How a program ended. */
export interface Result {
  /** Exit status; 128 + n if signal n ended it. */
  code: number;
  /** Standard output, its last 4 MiB. */
  stdout: string;
  /** Standard error, its last 4 MiB. */
  stderr: string;
}

/** Raised when a program missed its deadline, or ended otherwise than the test expects. */
export class ProcessFailed extends Error {
  override readonly name = "ProcessFailed";
}

const KEPT = 4 * 1024 * 1024;
/** Milliseconds between asking a program to end and killing it. */
const GRACE = 10_000;

interface Waiter {
  pattern: RegExp;
  resolve(match: RegExpMatchArray): void;
  reject(error: Error): void;
}

/** A running program. `await using` it: disposing ends it. */
export class Process implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #what: string;
  readonly #waiters = new Set<Waiter>();
  readonly #ended: Promise<Result>;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>> | null = null;
  #stdout = "";
  #stderr = "";
  #alive = true;
  #timedOut = false;

  /**
   * Starts a program.
   * @param command The program, found in `PATH`.
   * @param args Its arguments.
   * @param options Deadline, input, directory and environment.
   */
  constructor(command: string, args: readonly string[], options: ProcessOptions = {}) {
    const deadline = options.deadline ?? 60_000;
    this.#what = [command, ...args].map((word) => /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word}'`).join(
      " ",
    );
    this.#child = new Deno.Command(command, {
      args: [...args],
      stdin: options.input === undefined ? "null" : "piped",
      stdout: "piped",
      stderr: "piped",
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      env: { NO_COLOR: "1", ...options.env },
    }).spawn();
    if (options.input !== undefined) {
      const writer = this.#child.stdin.getWriter();
      if (options.input === "piped") {
        this.#writer = writer;
      } else {
        const input = options.input;
        const bytes = typeof input === "string" ? new TextEncoder().encode(input) : input;
        // A program may end without reading all of its input; its exit status tells whether that was right.
        writer.write(bytes).then(() => writer.close()).catch(() => {});
      }
    }
    const timer = setTimeout(() => {
      this.#timedOut = true;
      this.#signal("SIGKILL");
    }, deadline);
    this.#ended = this.#follow(deadline, timer);
    this.#ended.catch(() => {});
  }

  /** Process id. */
  get pid(): number {
    return this.#child.pid;
  }

  /** What it has printed on standard output so far. */
  get stdout(): string {
    return this.#stdout;
  }

  /** What it has printed on standard error so far. */
  get stderr(): string {
    return this.#stderr;
  }

  /** True until it has ended. */
  get alive(): boolean {
    return this.#alive;
  }

  /** Resolves when it has ended; rejects if that was by its deadline. */
  get ended(): Promise<Result> {
    return this.#ended;
  }

  /**
   * Resolves as soon as the lines that it printed, on either stream, match.
   * @param pattern Tried on the finished lines of each stream so far, so that `$` never takes half a line for a whole one;
   * once the program has ended, on all that it printed.
   * @param timeout Milliseconds to wait.
   * @throws {ProcessFailed} If it ends, or the time passes, before that. The message holds what it printed.
   */
  async printed(pattern: RegExp, timeout = 60_000): Promise<RegExpMatchArray> {
    const match = this.#match(pattern);
    if (match !== null) return match;
    if (!this.#alive) throw this.#failure(`ended without printing ${pattern}`);
    const { promise, resolve, reject } = Promise.withResolvers<RegExpMatchArray>();
    const waiter: Waiter = { pattern, resolve, reject };
    this.#waiters.add(waiter);
    const timer = setTimeout(
      () => reject(this.#failure(`did not print ${pattern} within ${timeout} ms`)),
      timeout,
    );
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      this.#waiters.delete(waiter);
    }
  }

  /** Writes to its standard input, which must be `"piped"`. */
  async write(data: string | Uint8Array<ArrayBuffer>): Promise<void> {
    if (this.#writer === null) throw new TypeError(`"${this.#what}" was not started with input "piped"`);
    await this.#writer.write(typeof data === "string" ? new TextEncoder().encode(data) : data);
  }

  /** Ends its standard input. */
  async closeInput(): Promise<void> {
    await this.#writer?.close();
  }

  /** Asks it to end (SIGTERM, or the signal given), kills it after 10 seconds, and resolves when it is gone. */
  async stop(signal: Deno.Signal = "SIGTERM"): Promise<Result> {
    this.#signal(signal);
    const timer = setTimeout(() => this.#signal("SIGKILL"), GRACE);
    try {
      return await this.#ended;
    } catch {
      return { code: 137, stdout: this.#stdout, stderr: this.#stderr };
    } finally {
      clearTimeout(timer);
    }
  }

  /** Ends it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #follow(deadline: number, timer: ReturnType<typeof setTimeout>): Promise<Result> {
    try {
      const [status] = await Promise.all([
        this.#child.status,
        this.#collect(this.#child.stdout, (text) => this.#stdout = (this.#stdout + text).slice(-KEPT)),
        this.#collect(this.#child.stderr, (text) => this.#stderr = (this.#stderr + text).slice(-KEPT)),
      ]);
      this.#alive = false;
      await this.#writer?.close().catch(() => {});
      if (this.#timedOut) throw this.#failure(`did not end within ${deadline} ms`);
      return { code: status.code, stdout: this.#stdout, stderr: this.#stderr };
    } finally {
      this.#alive = false;
      clearTimeout(timer);
      for (const waiter of this.#waiters) {
        const match = this.#match(waiter.pattern);
        if (match !== null) waiter.resolve(match);
        waiter.reject(this.#failure(`ended without printing ${waiter.pattern}`));
      }
    }
  }

  async #collect(
    stream: ReadableStream<Uint8Array<ArrayBuffer>>,
    keep: (text: string) => void,
  ): Promise<void> {
    for await (const text of stream.pipeThrough(new TextDecoderStream())) {
      keep(text);
      for (const waiter of this.#waiters) {
        const match = this.#match(waiter.pattern);
        if (match !== null) waiter.resolve(match);
      }
    }
  }

  #match(pattern: RegExp): RegExpMatchArray | null {
    const lines = (text: string) => this.#alive ? text.slice(0, text.lastIndexOf("\n") + 1) : text;
    return lines(this.#stdout).match(pattern) ?? lines(this.#stderr).match(pattern);
  }

  #signal(signal: Deno.Signal): void {
    try {
      if (this.#alive) this.#child.kill(signal);
    } catch {
      // It ended by itself in this moment.
    }
  }

  #failure(why: string): ProcessFailed {
    const printed = [this.#stdout, this.#stderr].map((text) => text.trim().slice(-2_000)).filter((text) =>
      text !== ""
    );
    return new ProcessFailed([`Process "${this.#what}" ${why}`, ...printed].join("\n"));
  }
}

/**
 * Runs a program to its end.
 * @throws {ProcessFailed} If its exit status is not 0, or it missed its deadline.
 */
export async function run(
  command: string,
  args: readonly string[],
  options: ProcessOptions = {},
): Promise<Result> {
  const result = await attempt(command, args, options);
  if (result.code !== 0) {
    const printed = (result.stderr.trim() + "\n" + result.stdout.trim()).trim().slice(-4_000);
    throw new ProcessFailed(`"${[command, ...args].join(" ")}" exited with ${result.code}\n${printed}`);
  }
  return result;
}

/** Runs a program to its end, whatever its exit status; only a missed deadline throws. */
export async function attempt(
  command: string,
  args: readonly string[],
  options: ProcessOptions = {},
): Promise<Result> {
  await using process = new Process(command, args, options);
  return await process.ended;
}
