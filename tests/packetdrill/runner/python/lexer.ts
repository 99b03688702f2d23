/**
 * Words of the code blocks: the part of Python that assertions use.
 *
 * @module
 */

/** One word. Indentation becomes `indent` and `dedent`, the end of a statement `newline`. */
export interface Token {
  kind: "name" | "number" | "string" | "operator" | "newline" | "indent" | "dedent" | "end";
  text: string;
  /** Line within the block, from 0. */
  line: number;
}

/** A mistake in a block, or a failed assertion. */
export class CodeError extends Error {
  override readonly name = "CodeError";
  /** Line within the block, from 0. */
  readonly line: number;

  constructor(line: number, message: string) {
    super(message);
    this.line = line;
  }
}

const STRING = String
  .raw`[fFrRbBuU]{0,2}(?:"""[\s\S]*?"""|'''[\s\S]*?'''|"(?:[^"\\\n]|\\[\s\S])*"|'(?:[^'\\\n]|\\[\s\S])*')`;
const NAME = String.raw`[A-Za-z_]\w*`;
const NUMBER = String
  .raw`0[xX][0-9a-fA-F_]+[lL]?|0[oO][0-7_]+|0[bB][01_]+|(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:[eE][+-]?\d+)?[lL]?`;
const OPERATOR = String
  .raw`\*\*=|\/\/=|<<=|>>=|\.\.\.|\*\*|\/\/|<<|>>|<=|>=|==|!=|<>|->|:=|[-+*/%&|^]=|[-+*/%&|^~<>=()[\]{},:.;@!]`;
const WORD = new RegExp(`(${STRING})|(${NAME})|(${NUMBER})|(${OPERATOR})`, "y");

/** Cuts a block into words. @throws {CodeError} On a character that begins none. */
export function tokenize(text: string): Token[] {
  const tokens: Token[] = [];
  const lines = text.split("\n");
  // What follows "%{" on its own line is indented by chance only.
  if (lines.length > 0) lines[0] = lines[0]!.trimStart();
  const source = lines.join("\n");
  const indents: number[] = [];
  let depth = 0;
  let line = 0;
  let at = 0;
  let fresh = true;
  const push = (kind: Token["kind"], word = "") => tokens.push({ kind, text: word, line });
  while (at < source.length) {
    if (fresh && depth === 0) {
      const blank = /[ \t\r]*(?:#[^\n]*)?(?:\n|$)/y;
      blank.lastIndex = at;
      const empty = blank.exec(source);
      if (empty !== null && blank.lastIndex > at) {
        if (empty[0].endsWith("\n")) line++;
        at = blank.lastIndex;
        continue;
      }
      let column = 0;
      for (; source[at] === " " || source[at] === "\t"; at++) {
        column += source[at] === "\t" ? 8 - column % 8 : 1;
      }
      const opens = tokens.at(-2)?.text === ":" && tokens.at(-1)?.kind === "newline";
      // The first statement says how far the block is indented as a whole; one that shares a line with "%{" can't.
      if (indents.length === 0) indents.push(line === 0 && lines.length > 1 ? -1 : column);
      else if (indents.length === 1 && indents[0] === -1) indents[0] = opens ? -2 : column;
      if (column > indents.at(-1)! && (indents.at(-1)! >= 0 || opens)) {
        indents.push(column);
        push("indent");
      }
      while (indents.length > 1 && column < indents.at(-1)!) {
        indents.pop();
        push("dedent");
      }
      fresh = false;
    }
    const character = source[at]!;
    if (character === "\n") {
      if (depth === 0) {
        push("newline");
        fresh = true;
      }
      line++;
      at++;
      continue;
    }
    if (/[ \t\r\f]/.test(character)) {
      at++;
      continue;
    }
    const joined = /\\[ \t\r]*\n/y;
    joined.lastIndex = at;
    if (joined.test(source)) {
      at = joined.lastIndex;
      line++;
      continue;
    }
    if (character === "#") {
      while (at < source.length && source[at] !== "\n") at++;
      continue;
    }
    WORD.lastIndex = at;
    const match = WORD.exec(source);
    if (match === null) throw new CodeError(line, `Cannot read ${JSON.stringify(source.slice(at, at + 20))}`);
    at = WORD.lastIndex;
    const word = match[0];
    if (match[1] !== undefined) push("string", word);
    else if (match[2] !== undefined) push("name", word);
    else if (match[3] !== undefined) push("number", word);
    else {
      if ("([{".includes(word)) depth++;
      if (")]}".includes(word)) depth--;
      push("operator", word);
    }
    for (const broken of word) if (broken === "\n") line++;
  }
  push("newline");
  for (; indents.length > 1; indents.pop()) push("dedent");
  push("end");
  return tokens;
}
