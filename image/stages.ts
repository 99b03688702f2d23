/**
 * One line a stage, with the milliseconds it took.
 *
 * @module
 */

/** Prints stages. */
export class Stages {
  readonly #print: (line: string) => void;
  readonly #started: number = performance.now();

  /** @param print Takes each line. */
  constructor(print: (line: string) => void) {
    this.#print = print;
  }

  /** Does one stage. @param describe Says what came out of it; short. */
  async run<T>(name: string, work: () => T | Promise<T>, describe: (result: T) => string): Promise<T> {
    const started = performance.now();
    const result = await work();
    this.line(name, performance.now() - started, describe(result));
    return result;
  }

  /** Prints the last line. */
  end(text: string): void {
    this.line("total", performance.now() - this.#started, text);
  }

  /** Prints one line. */
  line(name: string, milliseconds: number, text: string): void {
    this.#print(`${name.padEnd(9)} ${milliseconds.toFixed(0).padStart(6)} ms  ${text}`);
  }
}

/** Formats a size: `42.1 MB` (10^6 bytes). */
export function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
