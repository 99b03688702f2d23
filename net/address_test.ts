import assert from "node:assert/strict";
import type { Interface } from "../stack/link/interface.ts";
import { checkPort, formatHostPort, parseHost, zoneOf } from "./address.ts";

Deno.test("parseHost() takes addresses of both versions, with brackets and zones", () => {
  const cases = [
    ["10.0.0.1", "10.0.0.1"],
    ["fd00::1", "fd00::1"],
    ["[fd00::1]", "fd00::1"],
    ["fe80::1%tap0", "fe80::1"],
    ["[fe80::1%25tap0]", "fe80::1"],
    ["[fe80::1%tap0]", "fe80::1"],
    ["ff02::1%tap0", "ff02::1"],
  ];
  for (const [text, address] of cases) assert.equal(String(parseHost(text!)), address);
});

Deno.test("parseHost() refuses names, and zones where none can be", () => {
  for (const text of ["example.org", "[fd00::1", "10.0.0.1%tap0", "fd00::1%tap0", "", "%tap0"]) {
    assert.throws(() => parseHost(text), TypeError);
  }
});

Deno.test("zoneOf() finds the interface that a zone names", () => {
  const tap = { name: "tap0" } as Interface, other = { name: "25" } as Interface;
  assert.equal(zoneOf("fe80::1", [tap]), null);
  assert.equal(zoneOf("fe80::1%tap0", [other, tap]), tap);
  assert.equal(zoneOf("[fe80::1%25tap0]", [other, tap]), tap);
  assert.equal(zoneOf("fe80::1%25", [tap, other]), other);
  assert.throws(() => zoneOf("fe80::1%tap1", [tap]), TypeError);
});

Deno.test("formatHostPort() and checkPort() keep to their forms", () => {
  assert.equal(formatHostPort("fd00::1", 80), "[fd00::1]:80");
  assert.equal(formatHostPort("10.0.0.1", 80), "10.0.0.1:80");
  assert.equal(checkPort(0, 0), 0);
  assert.throws(() => checkPort(0, 1), RangeError);
});
