/**
 * Gives an image another configuration without building it again.
 *
 * @module
 */

import { join } from "node:path";
import { configArchive, type GuestConfig } from "./config.ts";
import { type Manifest, readManifest, sha256, writeManifest } from "./manifest.ts";

/**
 * Replaces the archive with the configuration at the end of an image's initramfs.
 * @throws {ImageError} When the directory holds no image.
 */
export async function configure(directory: string, config: GuestConfig): Promise<Manifest> {
  const manifest = await readManifest(directory);
  const path = join(directory, "initramfs.img");
  const base = (await Deno.readFile(path)).subarray(0, manifest.baseLength);
  const configuration = configArchive(config);
  const initramfs = new Uint8Array(base.length + configuration.length);
  initramfs.set(base);
  initramfs.set(configuration, base.length);
  await Deno.writeFile(path, initramfs);
  const changed: Manifest = {
    ...manifest,
    config,
    files: {
      ...manifest.files,
      "initramfs.img": { length: initramfs.length, sha256: await sha256(initramfs) },
    },
  };
  await writeManifest(directory, changed);
  return changed;
}
