/**
 * Builds, inspects and runs VM images in which Deno is process 1.
 *
 * @module
 */

export { build, type BuildOptions } from "./build.ts";
export { DEFAULT_CONFIG, type GuestConfig, InvalidConfig, parseConfig } from "./config.ts";
export { configure } from "./configure.ts";
export { ImageError } from "./errors.ts";
export { inspect } from "./inspect.ts";
export type { ImageFile, Manifest } from "./manifest.ts";
export { type Accelerator, type Forward, type Network } from "./qemu.ts";
export { DEFAULT_MEMORY, Guest, NO_STATUS, type RunOptions } from "./run.ts";
