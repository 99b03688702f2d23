import assert from "node:assert/strict";
import { attempt, Process, ProcessFailed, run } from "./process.ts";

Deno.test("run() returns what a program printed", async () => {
  assert.deepEqual(await run("cat", [], { input: "hello\n" }), { code: 0, stdout: "hello\n", stderr: "" });
});

Deno.test("run() throws with status and output when a program fails; attempt() does not", async () => {
  const args = ["-c", "echo broken >&2; exit 7"];
  await assert.rejects(run("sh", args), /exited with 7\nbroken/);
  assert.equal((await attempt("sh", args)).code, 7);
});

Deno.test("Process.ended rejects when the deadline passes, and the program is gone", async () => {
  await using process = new Process("sleep", ["60"], { deadline: 50 });
  await assert.rejects(
    process.ended,
    (error) => error instanceof ProcessFailed && /within 50 ms/.test(error.message),
  );
  assert.throws(() => Deno.kill(process.pid, "SIGCONT"), Deno.errors.NotFound);
});

Deno.test("Process.printed() sees lines as they come, and says what came when they do not", async () => {
  await using process = new Process("cat", [], { input: "piped" });
  const ready = process.printed(/^port (\d+)$/m);
  await process.write("starting\nport 80");
  await process.printed(/starting/);
  while (process.alive && !process.stdout.endsWith("port 80")) await new Promise(setImmediate);
  await process.write("80\n");
  assert.equal((await ready)[1], "8080");
  await assert.rejects(
    process.printed(/never/, 20),
    /did not print \/never\/ within 20 ms\nstarting\nport 8080/,
  );
  const late = process.printed(/never/);
  const rejected = assert.rejects(late, /ended without printing/);
  await process.closeInput();
  await rejected;
});

Deno.test("Process.stop() kills what ignores SIGTERM", async () => {
  await using process = new Process("sh", ["-c", "trap '' TERM; echo ready; while :; do sleep 0.1; done"]);
  await process.printed(/ready/);
  assert.equal((await process.stop()).code, 137);
});
