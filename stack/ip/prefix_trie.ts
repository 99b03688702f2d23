/**
 * Longest-prefix match for addresses of up to 128 bits, on typed arrays.
 *
 * A multibit trie of 4 bits a level with bitmaps (Eatherton, Varghese, Dittia: "Tree bitmap", 2004). A node stands for
 * the prefixes that begin with the bits on the way to it and are 1 to 4 bits longer: one bit for each that is there
 * (2 + 4 + 8 + 16), and one for each of its 16 children. Children lie side by side, and so do values, so that a node
 * is four words and the place of a child or value is a count of bits:
 *
 * ```text
 * +------------------+------------------+------------------+------------------+
 * | 30 bits: values  | 16 bits: children| first child      | first value      |
 * +------------------+------------------+------------------+------------------+
 * ```
 *
 * A look-up visits one node for every 4 bits of the longest way that leads on: at most 8 for IPv4 and 32 for IPv6,
 * however many prefixes there are. A change moves the at most 16 nodes or 30 values that lie side by side.
 *
 * @module
 */

/** Words of a node, and where they are. */
const NODE = 4, CHILDREN = 1, FIRST_CHILD = 2, FIRST_VALUE = 3;
/** Most nodes and values side by side. */
const MOST_NODES = 16, MOST_VALUES = 30;
/** Levels of the longest prefix. */
const LEVELS = 32;

/** The bits of a node's values that four bits of an address match, by the longest that is asked for (1 to 4). */
const MATCHES = new Int32Array(5 * 16);
for (let longest = 1; longest <= 4; longest++) {
  for (let nibble = 0; nibble < 16; nibble++) {
    for (let length = 1; length <= longest; length++) {
      MATCHES[longest * 16 + nibble]! |= 1 << bitOf(nibble >> (4 - length), length);
    }
  }
}

/** The bit of the prefix of `length` (1 to 4) bits; longer ones have higher bits. */
function bitOf(bits: number, length: number): number {
  return (1 << length) - 2 + bits;
}

/** The length that a bit of a node's values stands for. */
function lengthOf(bit: number): number {
  return bit < 2 ? 1 : bit < 6 ? 2 : bit < 14 ? 3 : 4;
}

function count(bits: number): number {
  bits -= (bits >>> 1) & 0x55555555;
  bits = (bits & 0x33333333) + ((bits >>> 2) & 0x33333333);
  return Math.imul((bits + (bits >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}

/**
 * Prefixes with a value each. A prefix is four 32-bit words in network order and a length; an IPv4 prefix is its
 * word and three of 0. Bits behind the length don't matter. Looking up allocates nothing.
 */
export class PrefixTrie {
  /** Bits of the prefix that {@link lookup} last found; meaningless when it found none. */
  matched = 0;
  #nodes: Int32Array<ArrayBuffer> = new Int32Array(64 * NODE);
  #nodesEnd = NODE;
  #values: Int32Array<ArrayBuffer> = new Int32Array(64);
  #valuesEnd = 1;
  /** First free stretch of so many nodes or values; 0 for none, a stretch's first word leads to the next. */
  readonly #freeNodes = new Int32Array(MOST_NODES + 1);
  readonly #freeValues = new Int32Array(MOST_VALUES + 1);
  /** The value of the prefix of 0 bits, which no node holds; or -1. */
  #all = -1;
  #size = 0;
  readonly #way = new Int32Array(LEVELS);

  /** Prefixes held. */
  get size(): number {
    return this.#size;
  }

  /** Bytes of memory. */
  get bytes(): number {
    return this.#nodes.byteLength + this.#values.byteLength;
  }

  /**
   * The value of the longest prefix of an address, or -1; {@link matched} then says how long it is.
   * @param longest Longer prefixes are not looked at: 0 to 128.
   */
  lookup(a: number, b: number, c: number, d: number, longest: number): number {
    const nodes = this.#nodes;
    let node = 0, word = a, depth = 0;
    let found = -1, foundBits = 0, foundDepth = 0;
    while (depth < longest) {
      if ((depth & 31) === 0) word = depth === 0 ? a : depth === 32 ? b : depth === 64 ? c : d;
      const nibble = word >>> (28 - (depth & 31)) & 15;
      const rest = longest - depth;
      const bits = nodes[node]! & MATCHES[(rest < 4 ? rest : 4) << 4 | nibble]!;
      if (bits !== 0) {
        found = node;
        foundBits = bits;
        foundDepth = depth;
      }
      const children = nodes[node + CHILDREN]!;
      if ((children >>> nibble & 1) === 0) break;
      node = nodes[node + FIRST_CHILD]! + count(children & ((1 << nibble) - 1)) * NODE;
      depth += 4;
    }
    if (found < 0) {
      this.matched = 0;
      return longest < 0 ? -1 : this.#all;
    }
    const bit = 31 - Math.clz32(foundBits);
    this.matched = foundDepth + lengthOf(bit);
    return this.#values[nodes[found + FIRST_VALUE]! + count(nodes[found]! & ((1 << bit) - 1))]!;
  }

  /** The value of exactly this prefix, or -1. */
  get(a: number, b: number, c: number, d: number, length: number): number {
    const value = this.lookup(a, b, c, d, length);
    return this.matched === length ? value : -1;
  }

  /** Enters a prefix of 0 to 128 bits. Replaces. @param value 0 to 2^31 - 1. */
  set(a: number, b: number, c: number, d: number, length: number, value: number): void {
    if (length === 0) {
      if (this.#all < 0) this.#size++;
      this.#all = value;
      return;
    }
    let node = 0, depth = 0;
    for (; length - depth > 4; depth += 4) {
      const nibble = nibbleAt(a, b, c, d, depth);
      node = this.#child(node, nibble);
    }
    const rest = length - depth;
    const bit = bitOf(nibbleAt(a, b, c, d, depth) >> (4 - rest), rest);
    const bits = this.#nodes[node]!;
    const before = count(bits & ((1 << bit) - 1));
    if ((bits >>> bit & 1) === 0) this.#insertValue(node, bit, before);
    this.#values[this.#nodes[node + FIRST_VALUE]! + before] = value;
  }

  /** Takes a prefix out. @returns Whether it was there. */
  delete(a: number, b: number, c: number, d: number, length: number): boolean {
    if (length === 0) {
      const was = this.#all >= 0;
      if (was) this.#size--;
      this.#all = -1;
      return was;
    }
    const nodes = this.#nodes, way = this.#way;
    let node = 0, depth = 0;
    for (; length - depth > 4; depth += 4) {
      way[depth >> 2] = node;
      const nibble = nibbleAt(a, b, c, d, depth);
      const children = nodes[node + CHILDREN]!;
      if ((children >>> nibble & 1) === 0) return false;
      node = nodes[node + FIRST_CHILD]! + count(children & ((1 << nibble) - 1)) * NODE;
    }
    const rest = length - depth;
    const bit = bitOf(nibbleAt(a, b, c, d, depth) >> (4 - rest), rest);
    if ((nodes[node]! >>> bit & 1) === 0) return false;
    this.#removeValue(node, bit);
    // Nodes that are empty now go, from below.
    while (depth > 0 && this.#nodes[node] === 0 && this.#nodes[node + CHILDREN] === 0) {
      depth -= 4;
      node = way[depth >> 2]!;
      this.#removeChild(node, nibbleAt(a, b, c, d, depth));
    }
    return true;
  }

  /** The child of a node, made when it is not there. */
  #child(node: number, nibble: number): number {
    const children = this.#nodes[node + CHILDREN]!;
    const before = count(children & ((1 << nibble) - 1));
    if ((children >>> nibble & 1) === 0) {
      const size = count(children);
      const from = this.#nodes[node + FIRST_CHILD]!;
      const to = this.#takeNodes(size + 1);
      const nodes = this.#nodes;
      nodes.copyWithin(to, from, from + before * NODE);
      nodes.copyWithin(to + (before + 1) * NODE, from + before * NODE, from + size * NODE);
      nodes.fill(0, to + before * NODE, to + (before + 1) * NODE);
      if (size > 0) this.#giveNodes(from, size);
      nodes[node + CHILDREN] = children | 1 << nibble;
      nodes[node + FIRST_CHILD] = to;
    }
    return this.#nodes[node + FIRST_CHILD]! + before * NODE;
  }

  #removeChild(node: number, nibble: number): void {
    const children = this.#nodes[node + CHILDREN]!;
    const before = count(children & ((1 << nibble) - 1));
    const size = count(children);
    const from = this.#nodes[node + FIRST_CHILD]!;
    const to = size > 1 ? this.#takeNodes(size - 1) : 0;
    const nodes = this.#nodes;
    if (size > 1) {
      nodes.copyWithin(to, from, from + before * NODE);
      nodes.copyWithin(to + before * NODE, from + (before + 1) * NODE, from + size * NODE);
    }
    this.#giveNodes(from, size);
    nodes[node + CHILDREN] = children & ~(1 << nibble);
    nodes[node + FIRST_CHILD] = to;
  }

  #insertValue(node: number, bit: number, before: number): void {
    const bits = this.#nodes[node]!;
    const size = count(bits);
    const from = this.#nodes[node + FIRST_VALUE]!;
    const to = this.#takeValues(size + 1);
    const values = this.#values;
    values.copyWithin(to, from, from + before);
    values.copyWithin(to + before + 1, from + before, from + size);
    if (size > 0) this.#giveValues(from, size);
    this.#nodes[node] = bits | 1 << bit;
    this.#nodes[node + FIRST_VALUE] = to;
    this.#size++;
  }

  #removeValue(node: number, bit: number): void {
    const bits = this.#nodes[node]!;
    const size = count(bits);
    const before = count(bits & ((1 << bit) - 1));
    const from = this.#nodes[node + FIRST_VALUE]!;
    const to = size > 1 ? this.#takeValues(size - 1) : 0;
    const values = this.#values;
    if (size > 1) {
      values.copyWithin(to, from, from + before);
      values.copyWithin(to + before, from + before + 1, from + size);
    }
    this.#giveValues(from, size);
    this.#nodes[node] = bits & ~(1 << bit);
    this.#nodes[node + FIRST_VALUE] = to;
    this.#size--;
  }

  #takeNodes(size: number): number {
    const free = this.#freeNodes[size]!;
    if (free !== 0) {
      this.#freeNodes[size] = this.#nodes[free]!;
      return free;
    }
    const at = this.#nodesEnd;
    this.#nodesEnd += size * NODE;
    if (this.#nodesEnd > this.#nodes.length) this.#nodes = grown(this.#nodes, this.#nodesEnd);
    return at;
  }

  #giveNodes(at: number, size: number): void {
    this.#nodes[at] = this.#freeNodes[size]!;
    this.#freeNodes[size] = at;
  }

  #takeValues(size: number): number {
    const free = this.#freeValues[size]!;
    if (free !== 0) {
      this.#freeValues[size] = this.#values[free]!;
      return free;
    }
    const at = this.#valuesEnd;
    this.#valuesEnd += size;
    if (this.#valuesEnd > this.#values.length) this.#values = grown(this.#values, this.#valuesEnd);
    return at;
  }

  #giveValues(at: number, size: number): void {
    this.#values[at] = this.#freeValues[size]!;
    this.#freeValues[size] = at;
  }
}

function nibbleAt(a: number, b: number, c: number, d: number, depth: number): number {
  const word = depth < 32 ? a : depth < 64 ? b : depth < 96 ? c : d;
  return word >>> (28 - (depth & 31)) & 15;
}

function grown(array: Int32Array<ArrayBuffer>, least: number): Int32Array<ArrayBuffer> {
  const larger = new Int32Array(Math.max(least, array.length + (array.length >> 1)));
  larger.set(array);
  return larger;
}
