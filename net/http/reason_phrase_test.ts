import assert from "node:assert/strict";
import { STATUS_CODES } from "node:http";
import { reasonPhrase } from "./reason_phrase.ts";

Deno.test("reasonPhrase() calls every final status as Node does", () => {
  for (let status = 200; status < 600; status++) {
    assert.equal(reasonPhrase(status), STATUS_CODES[status] ?? "", String(status));
  }
});
