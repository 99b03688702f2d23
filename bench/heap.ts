/**
 * The memory that is really in use.
 *
 * @module
 */

/** Bytes of heap and of array buffers that are reachable now. Needs `--v8-flags=--expose-gc`. */
export function heapInUse(): number {
  const { gc } = globalThis as { gc?: () => void };
  if (gc === undefined) throw new TypeError("Run with --v8-flags=--expose-gc");
  for (let i = 0; i < 4; i++) gc();
  const { heapUsed, external } = Deno.memoryUsage();
  return heapUsed + external;
}
