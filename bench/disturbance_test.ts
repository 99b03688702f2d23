import assert from "node:assert/strict";
import { Disturbance } from "./disturbance.ts";

function burn(milliseconds: number): void {
  for (const end = performance.now() + milliseconds; performance.now() < end;);
}

Deno.test("Disturbance counts strangers, and not who is named as ours", async () => {
  const all = new Disturbance([]);
  burn(300);
  const mine = all.others();
  const script = "for (const end = performance.now() + 600; performance.now() < end;);";
  const args = ["eval", script];
  const child = new Deno.Command(Deno.execPath(), { args, stdout: "null", stderr: "null" }).spawn();
  const [asStranger, asOurs] = [new Disturbance([]), new Disturbance([child.pid])];
  // It burns for longer than this.
  burn(400);
  const stranger = asStranger.others(), ours = asOurs.others();
  await child.status;
  assert.ok(mine >= 0 && mine <= 1);
  // However little of a processor a busy machine had for it.
  assert.ok(stranger > ours, `${stranger} where it is a stranger, ${ours} where it is ours`);
});
