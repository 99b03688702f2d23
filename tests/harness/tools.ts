/**
 * The programs of the system that a test needs. A missing one is an error, here and in CI: a test that does not run
 * shows nothing, so nothing is ever skipped.
 *
 * @module
 */

import { type Command, completePath, hasCommand, PACKAGES } from "../../scripts/system_packages.ts";

/**
 * Throws when a program is missing.
 * @param commands The programs.
 * @throws {Error} Naming what is missing and the packages that bring it. `deno task test` installs them.
 */
export async function requireTools(...commands: Command[]): Promise<void> {
  completePath();
  const missing: Command[] = [];
  for (const command of commands) if (!await hasCommand(command)) missing.push(command);
  if (missing.length === 0) return;
  const packages = missing.map((command) => PACKAGES[command]).join(" ");
  throw new Error(
    `Missing ${missing.map((command) => `"${command}"`).join(", ")}; run deno task test as root, ` +
      `or: apt-get install -y --no-install-recommends ${packages}`,
  );
}
