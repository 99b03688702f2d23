/**
 * Shows what an image is made of.
 *
 * @module
 */

import { join } from "node:path";
import { zstdDecompressSync } from "node:zlib";
import { type CpioEntry, readCpio } from "./cpio.ts";
import { ImageError } from "./errors.ts";
import { type Manifest, readManifest, sha256 } from "./manifest.ts";
import { megabytes } from "./stages.ts";

/** The members of both archives of an initramfs. */
export function members(manifest: Manifest, initramfs: Uint8Array<ArrayBuffer>): CpioEntry[] {
  const base = initramfs.subarray(0, manifest.baseLength);
  const unpacked = manifest.compression === "none" ? base : new Uint8Array(zstdDecompressSync(base));
  return [...readCpio(unpacked), ...readCpio(initramfs.subarray(manifest.baseLength))];
}

/**
 * Reads and checks an image.
 * @returns Lines for a person.
 * @throws {ImageError} When it is not there or has been changed.
 */
export async function inspect(directory: string): Promise<string[]> {
  const manifest = await readManifest(directory);
  const lines = [
    `program      ${manifest.program}`,
    `deno         ${manifest.deno}`,
    `kernel       ${manifest.kernel}`,
    `command line ${manifest.commandLine}`,
    `config       ${JSON.stringify(manifest.config)}`,
  ];
  let initramfs = new Uint8Array(0);
  for (const [name, { length, sha256: expected }] of Object.entries(manifest.files)) {
    let data: Uint8Array<ArrayBuffer>;
    try {
      data = await Deno.readFile(join(directory, name));
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
      throw new ImageError(`"${join(directory, name)}" is missing: build the image again`);
    }
    if (await sha256(data) !== expected) {
      throw new ImageError(`"${join(directory, name)}" is not what was built: build the image again`);
    }
    lines.push(`${name.padEnd(12)} ${megabytes(length)}, sha256 ${expected}`);
    if (name === "initramfs.img") initramfs = data;
  }
  lines.push(
    "",
    `in initramfs.img (${manifest.compression}, ${megabytes(manifest.unpackedLength)} unpacked):`,
  );
  for (const { path, type, mode, data } of members(manifest, initramfs)) {
    const letter = { file: "-", directory: "d", symlink: "l", character: "c" }[type];
    lines.push(`${letter}${mode.toString(8).padStart(4, "0")} ${String(data.length).padStart(10)} ${path}`);
  }
  return lines;
}
