import assert from "node:assert/strict";
import { join } from "node:path";
import { reason } from "./command.ts";
import { DEFAULT_CONFIG } from "./config.ts";
import { BUILD, configuration, main, parseCompression, RUN } from "./main.ts";
import { dependencies, kernel } from "./kernel.ts";
import type { Manifest } from "./manifest.ts";
import { checkMemory } from "./run.ts";
import { sharedLibraries } from "./runtime.ts";

/** Runs the command. @returns Its exit status and what it wrote to the standard error. */
async function attempt(...args: string[]): Promise<[status: number, errors: string]> {
  const errors: string[] = [];
  const { error } = console;
  console.error = (...parts: unknown[]) => errors.push(parts.join(" "));
  try {
    return [await main(args), errors.join("\n")];
  } finally {
    console.error = error;
  }
}

Deno.test("parseCompression() takes none and the levels of zstd", () => {
  assert.deepEqual(["none", "zstd:1", "zstd:22"].map(parseCompression), [0, 1, 22]);
  for (const text of ["", "zstd", "zstd:0", "zstd:23", "gzip:1", "zstd:x"]) {
    assert.throws(() => parseCompression(text), /Cannot parse the compression/);
  }
});

Deno.test("configuration() puts options over the file and the file over the image", async () => {
  assert.equal(await configuration({}, DEFAULT_CONFIG, []), null);
  const path = await Deno.makeTempFile();
  try {
    await Deno.writeTextFile(
      path,
      JSON.stringify({ addresses: ["10.1.0.2/16"], gateway: "10.1.0.1", args: ["file"] }),
    );
    assert.deepEqual(await configuration({ config: path, gateway: "10.1.0.9" }, DEFAULT_CONFIG, ["more"]), {
      ...DEFAULT_CONFIG,
      addresses: ["10.1.0.2/16"],
      gateway: "10.1.0.9",
      args: ["more"],
    });
    assert.deepEqual(await configuration({ "no-network": true }, DEFAULT_CONFIG, []), {
      ...DEFAULT_CONFIG,
      device: "",
    });
    await Deno.writeTextFile(path, "{");
    await assert.rejects(() => configuration({ config: path }, DEFAULT_CONFIG, []), new RegExp(path));
  } finally {
    await Deno.remove(path);
  }
});

Deno.test("main() says in one line what is wrong", async () => {
  const directory = await Deno.makeTempDir();
  try {
    const cases: [string[], RegExp][] = [
      [["build", "a.ts"], /-o DIRECTORY/],
      [
        ["build", join(directory, "none.ts"), "-o", join(directory, "out")],
        /Cannot find the program ".*none\.ts"/,
      ],
      [["build", "a.ts", "-o", "x", "--address", "1.2.3/4"], /Cannot parse CIDR "1\.2\.3\/4"/],
      [["build", "a.ts", "-o", import.meta.filename!], /main_test\.ts": it is not a directory/],
      [["build", "a.ts", "-o", "x", "--compress", "lzma"], /compression "lzma"/],
      [["run", directory], /Cannot find an image in ".*": build one with/],
      [["run", directory, "--qemu", "-frob"], /--qemu=-XYZ/],
      [["run", directory, "--frob"], /Unknown option '--frob'/],
      [["inspect", join(directory, "none")], /Cannot find an image/],
      [["configure", directory], /Cannot find an image/],
    ];
    for (const [args, message] of cases) {
      const [status, errors] = await attempt(...args);
      assert.equal(status, 1, args.join(" "));
      assert.match(errors, message);
      assert.equal(errors.trim().split("\n").length, 1, errors);
    }
    assert.equal((await attempt("frob"))[0], 2);
    assert.deepEqual([...Deno.readDirSync(directory)], []);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("main() describes every option of every command", async () => {
  const lines: string[] = [];
  const { log } = console;
  console.log = (text: string) => lines.push(text);
  try {
    for (const args of [["--help"], ["build", "--help"], ["run", "x", "-h"], ["inspect", "--help"]]) {
      assert.equal(await main(args), 0);
    }
  } finally {
    console.log = log;
  }
  assert.equal(new Set(lines).size, 1);
  for (const option of Object.keys({ ...BUILD, ...RUN })) {
    // In the list of options, not in the summary alone.
    assert.match(lines[0]!, new RegExp(`^  (-[a-z], )?--${option}\\b.* {2,}\\S`, "m"), option);
  }
});

Deno.test("checkMemory() says how much memory an image needs", () => {
  const manifest = {
    unpackedLength: 100e6,
    files: { "vmlinuz": { length: 1, sha256: "" }, "initramfs.img": { length: 40e6, sha256: "" } },
  } as Manifest;
  assert.throws(() => checkMemory(manifest, 128), /too large for 128 MiB .* give it --memory 320/);
  checkMemory(manifest, 320);
});

Deno.test("sharedLibraries() reads what ldd prints", () => {
  const text = `\tlinux-vdso.so.1 (0x00007ffd)
\tlibm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x00007f11)
\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f10)
\t/lib64/ld-linux-x86-64.so.2 (0x00007f22)
`;
  assert.deepEqual(sharedLibraries(text), [
    "/lib/x86_64-linux-gnu/libc.so.6",
    "/lib/x86_64-linux-gnu/libm.so.6",
    "/lib64/ld-linux-x86-64.so.2",
  ]);
  assert.throws(() => sharedLibraries("\tlibx.so => not found\n"), /libx\.so => not found/);
});

Deno.test("dependencies() reads a kernel module's list", () => {
  const module = (text: string) => new TextEncoder().encode(`\x7fELF\0license=GPL\0${text}\0name=x\0`);
  assert.deepEqual(dependencies(module("depends=uio,virtio-ring")), ["uio", "virtio_ring"]);
  assert.deepEqual(dependencies(module("depends=")), []);
});

Deno.test("main() says what to install when a program is missing", async () => {
  const directory = await Deno.makeTempDir();
  const { PATH, XDG_CACHE_HOME } = Deno.env.toObject();
  try {
    Deno.env.set("PATH", directory);
    Deno.env.set("XDG_CACHE_HOME", directory);
    const app = join(directory, "app.ts");
    await Deno.writeTextFile(app, "");
    const [status, errors] = await attempt("build", app, "-o", join(directory, "out"));
    assert.equal(status, 1);
    assert.match(errors, /Cannot find "ldd": install it with "apt-get install -y libc-bin"/);
    assert.equal(await Deno.stat(join(directory, "out")).then(() => true, () => false), false);
    await assert.rejects(() => kernel(), /images are built on Debian/);
    const manifest = { format: 1, unpackedLength: 0, files: { "initramfs.img": { length: 0 } } };
    await Deno.writeTextFile(join(directory, "image.json"), JSON.stringify(manifest));
    const run = await attempt("run", directory);
    assert.equal(run[0], 1);
    assert.match(
      run[1],
      /Cannot find "qemu-system-x86_64": install it with "apt-get install -y qemu-system-x86"/,
    );
  } finally {
    Deno.env.set("PATH", PATH!);
    if (XDG_CACHE_HOME === undefined) Deno.env.delete("XDG_CACHE_HOME");
    else Deno.env.set("XDG_CACHE_HOME", XDG_CACHE_HOME);
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("reason() finds the line in which a program says what went wrong", () => {
  const deno =
    "error: Failed loading https://a/b\n\nCaused by:\n    dns error: no such host\n\nStack backtrace:\n   0: <unknown>\n";
  assert.equal(reason(deno), "Failed loading https://a/b (dns error: no such host)");
  assert.equal(reason("Reading...\nE: Unable to locate package x\n"), "Unable to locate package x");
  assert.equal(reason("one\ntwo\n\n"), "two");
  assert.equal(reason(""), "it did not say why");
});
