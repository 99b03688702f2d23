import assert from "node:assert/strict";
import { requireTools } from "../harness/tools.ts";
import { compare, type Comparison } from "./compare.ts";
import { RULES } from "./rules.ts";

/** Packets of one comparison: 2,000 cases are some 2,600 frames. */
const COUNT = 2000;
/** Cases that a kernel of another version may answer in its own way. */
const TOLERANCE = 10;

const used = new Set<string>();

function check({ answered, same, explained, unexplained }: Comparison): void {
  for (const name of explained.keys()) used.add(name);
  const told = unexplained.join("\n");
  assert.ok(unexplained.length <= TOLERANCE, `${unexplained.length} differences without a reason:\n${told}`);
  if (unexplained.length > 0) console.log(told);
  // What nobody answers shows nothing.
  assert.ok(answered > COUNT / 4, `${answered} cases are answered`);
  assert.ok(same > COUNT * 0.8, `${same} cases are answered alike`);
}

Deno.test("A host answers odd packets as Linux does, but for the rows of the table", async () => {
  await requireTools("ip");
  check(await compare(1, COUNT, false));
});

Deno.test("A router answers and passes on odd packets as Linux does, but for the rows of the table", async () => {
  await requireTools("ip");
  check(await compare(2, COUNT, true));
});

Deno.test("The table of differences has the rules, and no rule is idle", async () => {
  const table = await Deno.readTextFile(new URL("README.md", import.meta.url));
  const rows = [...table.matchAll(/^\| \*\*(.+?)\*\*/gm)].map((match) => match[1]!);
  assert.deepEqual(rows.toSorted(), RULES.map((rule) => rule.name).toSorted());
  const idle = RULES.filter((rule) => !used.has(rule.name)).map((rule) => rule.name);
  // Rare ones are not met with every seed.
  assert.ok(idle.length <= 4, `Idle: ${idle.join(", ")}`);
});
