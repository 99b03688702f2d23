/**
 * `image.json`: what an image is made of.
 *
 * @module
 */

import { join } from "node:path";
import type { GuestConfig } from "./config.ts";
import { ImageError } from "./errors.ts";

/** One file of an image. */
export interface ImageFile {
  /** Bytes. */
  readonly length: number;
  /** SHA-256 in hexadecimal. */
  readonly sha256: string;
}

/** The contents of `image.json`. */
export interface Manifest {
  /** Version of this format. */
  readonly format: 1;
  /** The program as it was named to the build. */
  readonly program: string;
  /** Deno's version. */
  readonly deno: string;
  /** The kernel's package and version. */
  readonly kernel: string;
  /** The kernel's command line. */
  readonly commandLine: string;
  /** What the guest is told unless the runner says otherwise. */
  readonly config: GuestConfig;
  /** `none` or `zstd:N`. */
  readonly compression: string;
  /** Bytes of the initramfs before the archive with the configuration. */
  readonly baseLength: number;
  /** Bytes of the unpacked initramfs: memory that the guest needs for its files. */
  readonly unpackedLength: number;
  /** The files beside this one. */
  readonly files: { readonly "vmlinuz": ImageFile; readonly "initramfs.img": ImageFile };
}

/** SHA-256 in hexadecimal. */
export async function sha256(data: Uint8Array<ArrayBuffer>): Promise<string> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", data)).toHex();
}

/** Writes `image.json` into an image's directory. */
export async function writeManifest(directory: string, manifest: Manifest): Promise<void> {
  await Deno.writeTextFile(join(directory, "image.json"), JSON.stringify(manifest, null, 2) + "\n");
}

/**
 * Reads an image's `image.json`.
 * @throws {ImageError} When the directory holds no image.
 */
export async function readManifest(directory: string): Promise<Manifest> {
  let text: string;
  try {
    text = await Deno.readTextFile(join(directory, "image.json"));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) {
      throw new ImageError(
        `Cannot find an image in "${directory}": build one with "deno task image build APP.ts -o ${directory}"`,
      );
    }
    throw error;
  }
  try {
    const manifest = JSON.parse(text) as Manifest;
    if (manifest.format === 1) return manifest;
  } catch {
    // Said below.
  }
  throw new ImageError(
    `Cannot read "${directory}/image.json": it is not of this version; build the image again`,
  );
}
