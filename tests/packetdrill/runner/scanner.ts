/**
 * A cursor over the text of a script. The language has no tokens that mean the same everywhere (`.` is a flag, a
 * fraction or half of an ellipsis), so the parser asks for what can stand at its place.
 *
 * @module
 */

/** What is wrong with a script, and where. */
export class ScriptError extends Error {
  override readonly name = "ScriptError";
  readonly file: string;
  readonly line: number;

  constructor(file: string, line: number, message: string) {
    super(message);
    this.file = file;
    this.line = line;
  }
}

const BLANK = /(?:\s+|\/\/[^\n]*|#[^\n]*|\/\*[\s\S]*?\*\/)+/y;

/** A place in a text. */
export class Scanner {
  readonly file: string;
  readonly text: string;
  /** The next character. */
  at = 0;

  constructor(file: string, text: string) {
    this.file = file;
    this.text = text;
  }

  /** Line of the next character, from 1. */
  get line(): number {
    let line = 1;
    for (let i = this.text.indexOf("\n"); i >= 0 && i < this.at; i = this.text.indexOf("\n", i + 1)) line++;
    return line;
  }

  /** Passes over white space and comments. */
  skip(): void {
    BLANK.lastIndex = this.at;
    const match = BLANK.exec(this.text);
    if (match !== null) this.at = BLANK.lastIndex;
  }

  /** Whether nothing but comments is left. */
  get done(): boolean {
    this.skip();
    return this.at >= this.text.length;
  }

  /** Whether `word` comes next. */
  sees(word: string): boolean {
    this.skip();
    return this.text.startsWith(word, this.at);
  }

  /** Takes `word` if it comes next. */
  takes(word: string): boolean {
    if (!this.sees(word)) return false;
    this.at += word.length;
    return true;
  }

  /** Takes what matches the sticky expression `pattern`, or gives null. White space in front is passed over. */
  match(pattern: RegExp): RegExpExecArray | null {
    this.skip();
    pattern.lastIndex = this.at;
    const match = pattern.exec(this.text);
    if (match !== null) this.at = pattern.lastIndex;
    return match;
  }

  /** As {@link match}, but the cursor stays. */
  peek(pattern: RegExp): RegExpExecArray | null {
    this.skip();
    pattern.lastIndex = this.at;
    return pattern.exec(this.text);
  }

  /** As {@link peek}, of what stands on the same line only. */
  peekOnLine(pattern: RegExp): RegExpExecArray | null {
    const from = this.at;
    const found = this.peek(pattern);
    const onLine = !this.text.slice(from, this.at).includes("\n");
    this.at = from;
    return onLine ? found : null;
  }

  /** Takes `word` or fails. */
  expect(word: string): void {
    if (!this.takes(word)) this.fail(`Expected "${word}"`);
  }

  /** Takes what matches, or fails saying that `what` was expected. */
  need(pattern: RegExp, what: string): RegExpExecArray {
    return this.match(pattern) ?? this.fail(`Expected ${what}`);
  }

  /** Takes everything up to `end`, and `end` itself. */
  until(end: string): string {
    const to = this.text.indexOf(end, this.at);
    if (to < 0) this.fail(`Expected "${end}" before the end of the file`);
    const taken = this.text.slice(this.at, to);
    this.at = to + end.length;
    return taken;
  }

  /** @throws {ScriptError} Always: with the text at the cursor. */
  fail(message: string): never {
    const rest = this.text.slice(this.at).split("\n", 1)[0]!.trim().slice(0, 40);
    throw new ScriptError(this.file, this.line, `${message}, found "${rest === "" ? "end of line" : rest}"`);
  }
}
