/**
 * Where we differ from Linux on purpose. Each rule is a row of the table in `README.md`.
 *
 * @module
 */

/** What the rules look at, and change so that what differs on purpose is alike. */
export interface Pair {
  /** What is odd about the case. */
  readonly tags: readonly string[];
  /** Whether both forward. */
  readonly forwarding: boolean;
  /** Our answers. */
  ours: string[];
  /** The kernel's. */
  theirs: string[];
}

/** A difference that is meant to be. */
export interface Rule {
  /** The row of the table. */
  name: string;
  /** Makes alike what differs for this reason alone. */
  align(pair: Pair): void;
}

const ERROR_V4 = /protocol 1 error/, RESET = /protocol 6 /;

/** Applies a change to the answers of both that match. */
function each(pair: Pair, matches: RegExp, change: (text: string) => string): void {
  pair.ours = pair.ours.map((text) => matches.test(text) ? change(text) : text);
  pair.theirs = pair.theirs.map((text) => matches.test(text) ? change(text) : text);
}

/** Forgets what only the kernel says. */
function theirsAlone(pair: Pair, matches: RegExp): void {
  if (pair.ours.length === 0) pair.theirs = pair.theirs.filter((text) => !matches.test(text));
}

/** Forgets what only we say. */
function oursAlone(pair: Pair, matches: RegExp): void {
  if (pair.theirs.length === 0) pair.ours = pair.ours.filter((text) => !matches.test(text));
}

const has = (pair: Pair, ...tags: string[]) => tags.some((tag) => pair.tags.includes(tag));

/** In the order of the table. */
export const RULES: readonly Rule[] = [
  {
    name: "ECN of echo replies",
    align: (pair) =>
      each(
        pair,
        /protocol 1 class \d+ 00/,
        (text) => text.replace(/class (\d+)/, (_, tos) => `class ${tos & 0xfc}`),
      ),
  },
  {
    name: "Class of resets",
    align: (pair) => each(pair, RESET, (text) => text.replace(/class \d+ /, "")),
  },
  {
    name: "Options of errors and resets",
    align(pair) {
      const plain = (text: string) =>
        text.replace(/options \w+ /, "").replace(/ changed$/, "")
          .replace(/quotes (\d+)/, (_, length) => `quotes ${Math.min(length, 576 - 28 - 40)}`);
      each(
        pair,
        ERROR_V4,
        (text) => plain(has(pair, "option source") ? text.replace(/> \S+/, "> hop") : text),
      );
      each(pair, RESET, plain);
      // What can't be sent back keeps the kernel from sending the error at all.
      if (has(pair, "option bent", "option source", "option stamp", "option route")) {
        oursAlone(pair, /protocol (6 |1 (error|class \d+ 00))/);
      }
    },
  },
  {
    name: "Options of replies that are cut",
    align(pair) {
      if (!has(pair, "echo") || !has(pair, "large") || !has(pair, "option stamp", "option route")) return;
      const cut = / options \w+ id \d+ fragment \w+ protocol 1 /;
      if (pair.ours.length !== 1 || !pair.theirs.some((text) => cut.test(text))) return;
      pair.ours = [];
      pair.theirs = pair.theirs.filter((text) => !cut.test(text));
    },
  },
  {
    name: "Unicast in a link broadcast",
    align: (pair) => has(pair, "link broadcast") && theirsAlone(pair, /./),
  },
  {
    name: "ICMP timestamps",
    align: (pair) => has(pair, "icmp 13") && theirsAlone(pair, /protocol 1 class \d+ 0e00/),
  },
  {
    name: "Directed broadcast as a source",
    align: (pair) => has(pair, "from directed broadcast") && theirsAlone(pair, /./),
  },
  {
    name: "Our own addresses as sources, over IPv6",
    align: (pair) => has(pair, "v6") && has(pair, "from own", "from other own") && theirsAlone(pair, /./),
  },
  {
    name: "Hosts that are asked to forward",
    align: (pair) => !pair.forwarding && theirsAlone(pair, /protocol 58 error 1\/0/),
  },
  {
    name: "Options of later fragments",
    align: (pair) =>
      each(
        pair,
        / options \w+ id \d+ fragment \w+ protocol \d+ [0-9a-f]+$/,
        (text) => text.replace(/options \w+ /, ""),
      ),
  },
  {
    name: "Sources that are no host",
    align: (pair) =>
      has(pair, "from reserved", "from zero", "from zero network", "from mapped", "from unspecified") &&
      theirsAlone(pair, /./),
  },
  {
    name: "Destinations that are no host",
    align: (pair) =>
      has(pair, "to unspecified", "to mapped", "to link-local", "to reserved") && theirsAlone(pair, /error/),
  },
  {
    name: "Pace of net unreachable",
    align: (pair) => has(pair, "to nowhere") && oursAlone(pair, /error 3\/0/),
  },
  {
    name: "Fragments without payload",
    align(pair) {
      if (!has(pair, "harm empty")) return;
      pair.ours = pair.ours.filter((text) => !/error .* quotes 48$/.test(text));
      pair.theirs = pair.theirs.filter((text) => !/error .* quotes 48$/.test(text));
      oursAlone(pair, /./);
      theirsAlone(pair, /./);
    },
  },
  {
    name: "Payload length of 0",
    align: (pair) => has(pair, "payload length") && theirsAlone(pair, /./),
  },
  {
    name: "Groups that nobody has joined",
    align: (pair) => has(pair, "to group", "to wide group") && theirsAlone(pair, /protocol 58 error 4\/2/),
  },
  {
    name: "Long chains of extension headers",
    align(pair) {
      if (!has(pair, "long chain")) return;
      pair.ours = pair.ours.filter((text) => !/error 4\/8/.test(text));
      if (pair.ours.length === 0) pair.theirs = [];
    },
  },
];
