import assert from "node:assert/strict";
import { readJunit } from "./run_tests.ts";

Deno.test("readJunit() sums every suite", () => {
  const xml = `<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="deno test" tests="5" failures="1" errors="0" time="0.1">
    <testsuite name="a_test.ts" tests="3" disabled="1" errors="0" failures="1">
        <testcase name="x"><failure message="tests=&quot;9&quot;"/></testcase>
    </testsuite>
    <testsuite name="b_test.ts" tests="2" disabled="0" errors="0" failures="0"></testsuite>
</testsuites>`;
  assert.deepEqual(readJunit(xml), { passed: 3, failed: 1, ignored: 1 });
});

Deno.test("readJunit() finds nothing in an empty report", () => {
  assert.deepEqual(readJunit(""), { passed: 0, failed: 0, ignored: 0 });
});
