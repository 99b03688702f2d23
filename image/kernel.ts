/**
 * Debian's kernel for virtual machines, from the package archive that this system is set up with.
 *
 * @module
 */

import { basename, join } from "node:path";
import { output } from "./command.ts";
import { ImageError } from "./errors.ts";

/** The package that always depends on the newest kernel. */
const META_PACKAGE = "linux-image-cloud-amd64";

/** A kernel, unpacked in the cache. */
export interface Kernel {
  /** `linux-image-6.1.0-56-cloud-amd64 6.1.192-2`. */
  readonly version: string;
  /** The compressed kernel. */
  readonly image: string;
  /** Directory of the modules. */
  readonly modules: string;
}

/** Where downloads are kept: `$XDG_CACHE_HOME/ethox`, else `~/.cache/ethox`. */
export function cacheDirectory(): string {
  const base = Deno.env.get("XDG_CACHE_HOME") || join(Deno.env.get("HOME") || "/root", ".cache");
  return join(base, "ethox");
}

/**
 * Gets the newest kernel that the system's package lists name; from the cache when it has been there before. As
 * root, lists that are missing or too old are fetched again. Without any list the newest kernel in the cache is taken.
 * @throws {ImageError} When there is no way to get one.
 */
export async function kernel(cache: string = cacheDirectory()): Promise<Kernel> {
  const folder = join(cache, "kernel");
  await Deno.mkdir(folder, { recursive: true });
  let name = await candidate();
  if (name === null) {
    const cached = await newest(folder);
    if (cached !== null) return cached;
    await updateLists();
    name = await candidate();
    if (name === null) {
      throw new ImageError(
        `Cannot find the package "${META_PACKAGE}": images are built on Debian; run "apt-get update" as root first`,
      );
    }
  }
  const known = await open(join(folder, `${name.package}_${name.version}`));
  if (known !== null) return known;
  try {
    return await fetchKernel(folder, name);
  } catch (error) {
    // A list that is too old names a version which the archive has dropped.
    if (Deno.uid() !== 0) {
      throw new ImageError(`${(error as Error).message}; run "apt-get update" as root and try again`);
    }
    await updateLists();
    return await fetchKernel(folder, await candidate() ?? name);
  }
}

interface Name {
  readonly package: string;
  readonly version: string;
}

async function updateLists(): Promise<void> {
  if (Deno.uid() === 0) await outputOrNull("apt-get", ["-qq", "-o", "DPkg::Lock::Timeout=120", "update"]);
}

/** As {@link output}, but null when the program is missing or fails. */
async function outputOrNull(program: string, args: string[]): Promise<string | null> {
  try {
    return await output(program, args);
  } catch (error) {
    if (error instanceof ImageError) return null;
    throw error;
  }
}

/** @returns The package that the meta package stands for, or null without a list. Both have the same version. */
async function candidate(): Promise<Name | null> {
  const meta = await outputOrNull("apt-cache", ["show", "--no-all-versions", META_PACKAGE]) ?? "";
  const name = /^Depends: (?:.*, )?(linux-image-[0-9][^ ,]*)/m.exec(meta)?.[1];
  const version = /^Version: (\S+)$/m.exec(meta)?.[1];
  return name === undefined || version === undefined ? null : { package: name, version };
}

async function fetchKernel(folder: string, name: Name): Promise<Kernel> {
  const work = await Deno.makeTempDir({ dir: folder, prefix: ".unpack-" });
  try {
    await output("apt-get", ["download", `${name.package}=${name.version}`], { cwd: work });
    const packages = [...Deno.readDirSync(work)].map((entry) => entry.name).filter((x) => x.endsWith(".deb"));
    if (packages.length !== 1) throw new ImageError(`Cannot download the package "${name.package}"`);
    const tree = join(work, "tree");
    await output("dpkg-deb", ["--extract", join(work, packages[0]!), tree]);
    const target = join(folder, `${name.package}_${name.version}`);
    try {
      await Deno.rename(tree, target);
    } catch (error) {
      // Somebody else was faster.
      if (await open(target) === null) throw error;
    }
    const kernel = await open(target);
    if (kernel === null) throw new ImageError(`Package "${name.package}" has no kernel in it`);
    return kernel;
  } finally {
    await Deno.remove(work, { recursive: true });
  }
}

async function newest(folder: string): Promise<Kernel | null> {
  const names: string[] = [];
  for await (const entry of Deno.readDir(folder)) {
    if (entry.name.startsWith("linux-image-")) names.push(entry.name);
  }
  names.sort(new Intl.Collator("en", { numeric: true }).compare);
  return names.length === 0 ? null : await open(join(folder, names.at(-1)!));
}

/** @returns The kernel unpacked in `directory`, or null. */
async function open(directory: string): Promise<Kernel | null> {
  try {
    let image = "";
    for await (const entry of Deno.readDir(join(directory, "boot"))) {
      if (entry.name.startsWith("vmlinuz-")) image = join(directory, "boot", entry.name);
    }
    // Debian may move /lib to /usr/lib.
    for (const library of ["lib", "usr/lib"]) {
      const modules = join(directory, library, "modules", basename(image).slice("vmlinuz-".length), "kernel");
      try {
        if (image !== "" && (await Deno.stat(modules)).isDirectory) {
          return { version: basename(directory).replace("_", " "), image, modules };
        }
      } catch {
        // Not there.
      }
    }
    return null;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}

/** One kernel module. */
export interface KernelModule {
  /** `uio_pci_generic`. */
  readonly name: string;
  /** The object file. */
  readonly data: Uint8Array<ArrayBuffer>;
}

/**
 * Finds modules with those they depend on, in the order in which they are to be loaded.
 * @throws {ImageError} When the kernel has no such module.
 */
export async function kernelModules(kernel: Kernel, names: readonly string[]): Promise<KernelModule[]> {
  const files = new Map<string, string>();
  await collect(kernel.modules, files);
  const loaded = new Map<string, KernelModule>();
  const add = async (name: string): Promise<void> => {
    if (loaded.has(name)) return;
    const path = files.get(name);
    if (path === undefined) throw new ImageError(`Kernel ${kernel.version} has no module "${name}"`);
    const data = await Deno.readFile(path);
    for (const dependency of dependencies(data)) await add(dependency);
    loaded.set(name, { name, data });
  };
  for (const name of names) await add(name);
  return [...loaded.values()];
}

async function collect(directory: string, files: Map<string, string>): Promise<void> {
  for await (const entry of Deno.readDir(directory)) {
    const path = join(directory, entry.name);
    if (entry.isDirectory) await collect(path, files);
    else if (entry.name.endsWith(".ko")) files.set(entry.name.slice(0, -3).replaceAll("-", "_"), path);
  }
}

/** The modules that one needs, as its `.modinfo` section says: `depends=a,b`, ended by a zero byte. */
export function dependencies(data: Uint8Array<ArrayBuffer>): string[] {
  const text = new TextDecoder("latin1").decode(data);
  const list = /\0depends=([a-z0-9_,-]*)\0/i.exec(text)?.[1] ?? "";
  return list.split(",").filter((name) => name !== "").map((name) => name.replaceAll("-", "_"));
}
