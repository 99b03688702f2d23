import assert from "node:assert/strict";
import { ensureCommands, hasCommand, type Machine, MissingPackages } from "./system_packages.ts";

class FakeMachine implements Machine {
  present: Set<string>;
  canInstall: boolean;
  ran: string[] = [];
  said: string[] = [];
  brings: string[];

  constructor(present: string[], canInstall: boolean, brings: string[] = []) {
    this.present = new Set(present);
    this.canInstall = canInstall;
    this.brings = brings;
  }

  has(command: string): Promise<boolean> {
    return Promise.resolve(this.present.has(command));
  }

  run(command: string, args: string[]): Promise<{ code: number; output: string }> {
    this.ran.push([command, ...args].join(" "));
    if (args.includes("install")) { for (const name of this.brings) this.present.add(name); }
    return Promise.resolve({ code: 0, output: "E: Unable to locate package\n" });
  }

  quietly<T>(work: () => Promise<T>): Promise<T> {
    return work();
  }

  say(line: string): void {
    this.said.push(line);
  }
}

Deno.test("ensureCommands() does nothing when everything is there", async () => {
  const machine = new FakeMachine(["curl", "ip"], true);
  await ensureCommands(["curl", "ip"], machine);
  assert.deepEqual(machine.ran, []);
  assert.deepEqual(machine.said, []);
});

Deno.test("ensureCommands() installs what is missing with one update and one line", async () => {
  const machine = new FakeMachine(["curl"], true, ["wrk", "nc"]);
  await ensureCommands(["curl", "wrk", "nc"], machine);
  assert.deepEqual(machine.ran, [
    "apt-get -qq -o DPkg::Lock::Timeout=120 update",
    "apt-get -qq -o DPkg::Lock::Timeout=120 install -y --no-install-recommends netcat-openbsd wrk",
  ]);
  assert.deepEqual(machine.said, ["Installing netcat-openbsd wrk"]);
});

Deno.test("ensureCommands() says what to install, and touches nothing, when it may not install", async () => {
  const machine = new FakeMachine([], false);
  await assert.rejects(
    ensureCommands(["tshark", "qemu-system-x86_64"], machine),
    (error) => {
      assert.ok(error instanceof MissingPackages);
      assert.equal(
        error.message,
        'Missing "tshark", "qemu-system-x86_64"; install as root with: apt-get update && ' +
          "apt-get install -y --no-install-recommends qemu-system-x86 tshark",
      );
      return true;
    },
  );
  assert.deepEqual(machine.ran, []);
});

Deno.test("ensureCommands() fails when a program is still missing after the installation", async () => {
  const machine = new FakeMachine([], true, ["curl"]);
  await assert.rejects(
    ensureCommands(["curl", "wrk"], machine),
    /left "wrk" missing \(E: Unable to locate package\)/,
  );
});

Deno.test("hasCommand() finds programs in PATH only", async () => {
  assert.equal(await hasCommand("sh"), true);
  assert.equal(await hasCommand("no-such-program-here"), false);
});
