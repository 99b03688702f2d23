/**
 * What connections and frames cost in memory, measured in a process of its own without a network.
 *
 * @module
 */

/** Figures by name, and the module that prints them as one line of JSON. */
export const MEMORY_FIGURES: Record<string, string> = {
  memory_idle: "memory_idle.ts",
  memory_many: "memory_many.ts",
  memory_echo: "memory_echo.ts",
};

/** Runs one memory figure. */
export async function measureMemory(name: string): Promise<Record<string, number>> {
  const module = new URL(MEMORY_FIGURES[name] ?? "", import.meta.url).pathname;
  const { code, stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--quiet", "--v8-flags=--expose-gc", module],
    stdout: "piped",
    stderr: "inherit",
    signal: AbortSignal.timeout(300_000),
  }).output();
  if (code !== 0) throw new Error(`Measuring "${name}" failed`);
  return JSON.parse(new TextDecoder().decode(stdout)) as Record<string, number>;
}
