/**
 * The part of Python that code blocks are written in.
 *
 * @module
 */

/** An expression. */
export type Node =
  | { kind: "value"; value: number | string | boolean | null }
  | { kind: "name"; name: string; line: number }
  | { kind: "unary"; operator: string; operand: Node }
  | { kind: "binary"; operator: string; left: Node; right: Node; line: number }
  | { kind: "compare"; first: Node; rest: [operator: string, operand: Node][] }
  | { kind: "and" | "or"; left: Node; right: Node }
  | { kind: "choice"; test: Node; then: Node; otherwise: Node }
  | { kind: "call"; callee: Node; args: Node[]; named: Map<string, Node>; line: number }
  | { kind: "member"; of: Node; name: string; line: number }
  | { kind: "index"; of: Node; index: Node; line: number }
  | { kind: "slice"; of: Node; from: Node | null; to: Node | null; step: Node | null; line: number }
  | { kind: "list" | "tuple" | "set"; items: Node[] }
  | { kind: "dict"; entries: [Node, Node][] }
  | {
    kind: "comprehension";
    of: "list" | "set" | "dict";
    key: Node | null;
    value: Node;
    loops: Loop[];
    line: number;
  }
  | { kind: "lambda"; parameters: Parameter[]; body: Node; line: number }
  | { kind: "format"; parts: (string | FormatPart)[]; line: number };

/** One `for … in … if …` of a comprehension. */
export interface Loop {
  target: Node;
  of: Node;
  tests: Node[];
}

/** `{value!conversion:spec}` in an f-string. */
export interface FormatPart {
  value: Node;
  conversion: string;
  spec: Node | null;
}

/** A parameter, and what it is when the caller says nothing. */
export interface Parameter {
  name: string;
  initial: Node | null;
}

/** A statement. */
export type Statement =
  | { kind: "expression"; value: Node }
  | { kind: "assert"; test: Node; message: Node | null; line: number; text: string }
  | { kind: "assign"; targets: Node[]; operator: string; value: Node; line: number }
  | { kind: "if"; test: Node; then: Statement[]; otherwise: Statement[] }
  | { kind: "while"; test: Node; body: Statement[]; otherwise: Statement[]; line: number }
  | { kind: "for"; target: Node; of: Node; body: Statement[]; otherwise: Statement[]; line: number }
  | { kind: "def"; name: string; parameters: Parameter[]; body: Statement[]; line: number }
  | { kind: "return"; value: Node | null }
  | { kind: "raise"; value: Node | null; line: number }
  | { kind: "try"; body: Statement[]; handlers: Handler[]; otherwise: Statement[]; last: Statement[] }
  | { kind: "import"; names: [module: string, as: string][] }
  | { kind: "from"; module: string; names: [name: string, as: string][] }
  | { kind: "global"; names: string[] }
  | { kind: "del"; targets: Node[]; line: number }
  | { kind: "pass" | "break" | "continue" };

/** `except … as name:`; what it catches is not told apart. */
export interface Handler {
  name: string | null;
  body: Statement[];
}
