import assert from "node:assert/strict";
import {
  CONFIG_PATH,
  configArchive,
  DEFAULT_CONFIG,
  InvalidConfig,
  parseConfig,
  programArguments,
} from "./config.ts";
import { readCpio } from "./cpio.ts";

Deno.test("parseConfig() fills in what is missing", () => {
  assert.deepEqual(parseConfig({}), DEFAULT_CONFIG);
  assert.deepEqual(parseConfig({ gateway: "" }, { ...DEFAULT_CONFIG, args: ["x"] }), {
    ...DEFAULT_CONFIG,
    gateway: "",
    args: ["x"],
  });
});

Deno.test("parseConfig() names what it can't use", () => {
  const cases: [unknown, RegExp][] = [
    [[], /must be a JSON object/],
    [{ adress: "" }, /Unknown configuration field "adress": use device, addresses/],
    [{ addresses: "10.0.0.1/24" }, /"addresses" must be an array/],
    [{ addresses: ["10.0.0.1"] }, /"10\.0\.0\.1" has no prefix length/],
    [{ addresses: ["10.0.0.1/33"] }, /"10\.0\.0\.1\/33": .* 0 to 32/],
    [{ addresses: ["10.0.0/24"] }, /Cannot parse CIDR "10\.0\.0\/24"/],
    [{ gateway: "10.0.0.1/24" }, /Gateway "10\.0\.0\.1\/24" is not an IP address/],
    [{ hostname: "a.local" }, /Host name "a\.local"/],
    [{ mac: "52:54:00:00:00" }, /MAC address "52:54:00:00:00"/],
    [{ mac: "53:54:00:00:00:01" }, /group address/],
    [{ args: [1] }, /"args" must be an array of strings/],
    [{ device: 1 }, /"device" must be a string/],
  ];
  for (const [value, message] of cases) {
    assert.throws(
      () => parseConfig(value),
      (error) => error instanceof InvalidConfig && message.test(error.message),
    );
  }
});

Deno.test("programArguments() says nothing of a network when there is no device", () => {
  assert.deepEqual(programArguments({ ...DEFAULT_CONFIG, args: ["--port", "80"] }), [
    "--device",
    "virtio:auto",
    "--port",
    "80",
  ]);
  assert.deepEqual(programArguments({ ...DEFAULT_CONFIG, device: "", args: ["x"] }), ["x"]);
});

Deno.test("configArchive() holds the configuration where process 1 looks for it", () => {
  const [entry] = readCpio(configArchive(DEFAULT_CONFIG)).filter(({ path }) => path === CONFIG_PATH);
  assert.deepEqual(JSON.parse(new TextDecoder().decode(entry!.data)), DEFAULT_CONFIG);
});
