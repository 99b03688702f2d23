import assert from "node:assert/strict";
import fc from "fast-check";
import { characterDevice, type CpioEntry, directory, file, readCpio, writeCpio } from "./cpio.ts";

const entries = [
  file("app/b.js", "b"),
  file("app/a.js", "abc", 0o755),
  directory("tmp", 0o777),
  characterDevice("dev/console", 5, 1),
];

Deno.test("writeCpio() writes the headers that the kernel reads", () => {
  const archive = writeCpio([file("f", "hello")]);
  const text = new TextDecoder().decode(archive);
  const header = "070701" + "00000001" + "000081A4" + "00000000" + "00000000" + "00000001" + "00000000" +
    "00000005" + "00000000" + "00000000" + "00000000" + "00000000" + "00000002" + "00000000";
  assert.equal(text.slice(0, 110), header);
  assert.equal(text.slice(110, 112), "f\0");
  assert.equal(text.slice(112, 120), "hello\0\0\0");
  assert.equal(text.slice(120, 126), "070701");
  assert.ok(text.slice(230).startsWith("TRAILER!!!\0"));
  assert.equal(archive.length % 4, 0);
});

Deno.test("writeCpio() gives the same bytes whatever the order, and adds directories", () => {
  const archive = writeCpio(entries);
  assert.deepEqual(writeCpio([...entries].reverse()), archive);
  assert.deepEqual(readCpio(archive).map(({ path, type }) => `${type} ${path}`), [
    "directory app",
    "file app/a.js",
    "file app/b.js",
    "directory dev",
    "character dev/console",
    "directory tmp",
  ]);
});

Deno.test("writeCpio() refuses paths that leave the archive, and doubles", () => {
  for (const path of ["", "/etc/passwd", "a//b", "../a", "a/..", "./a", "a/"]) {
    assert.throws(() => writeCpio([file(path, "")]), TypeError, path);
  }
  assert.throws(() => writeCpio([file("a", ""), file("a", "")]), /twice/);
});

Deno.test("readCpio() reads back what writeCpio() wrote", () => {
  const name = fc.stringMatching(/^[a-z0-9_é]{1,12}$/);
  const entry: fc.Arbitrary<CpioEntry> = fc.record({
    path: fc.array(name, { minLength: 1, maxLength: 3 }).map((parts) => parts.join("/") + ".f"),
    type: fc.constantFrom("file" as const, "symlink" as const),
    mode: fc.integer({ min: 0, max: 0o777 }),
    data: fc.uint8Array({ maxLength: 50 }).map((bytes) => new Uint8Array(bytes)),
  });
  fc.assert(fc.property(fc.uniqueArray(entry, { selector: ({ path }) => path, maxLength: 8 }), (list) => {
    const read = readCpio(writeCpio(list)).filter(({ type }) => type !== "directory");
    const sorted = [...list].sort((a, b) => a.path < b.path ? -1 : 1);
    assert.deepEqual(
      read.map((item) => ({ ...item, data: [...item.data] })),
      sorted.map((item) => ({ ...item, data: [...item.data] })),
    );
  }));
});

Deno.test("readCpio() rejects an archive that is cut short anywhere", () => {
  const archive = writeCpio(entries);
  // The last bytes are padding of the trailer's name.
  for (let length = 0; length < archive.length - 4; length++) {
    assert.throws(() => readCpio(archive.slice(0, length)), TypeError, String(length));
  }
});
