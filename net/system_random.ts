/**
 * Randomness for a stack on a real network.
 *
 * @module
 */

/** Random words from the system, fetched some at a time. @returns A function that gives 32 random bits. */
export function systemRandom(): () => number {
  const words = new Int32Array(256);
  let left = 0;
  return () => {
    if (left === 0) {
      crypto.getRandomValues(words);
      left = words.length;
    }
    const word = words[--left]!;
    words[left] = 0;
    return word;
  };
}
