/**
 * What connections and frames cost in memory, measured in a process of its own without a network.
 *
 * @module
 */

/** Figures by name: the module that prints them as one line of JSON, and its arguments. */
export const MEMORY_FIGURES: Record<string, readonly [module: string, ...args: string[]]> = {
  memory_idle: ["memory_idle.ts"],
  memory_many: ["memory_many.ts"],
  memory_million: ["memory_million.ts"],
  memory_echo: ["memory_echo.ts"],
  garbage_bulk: ["memory_steady.ts", "bulk"],
  garbage_request: ["memory_steady.ts", "request"],
  garbage_echo: ["memory_steady.ts", "echo"],
  garbage_forward: ["memory_steady.ts", "forward"],
};

/** MB of V8's heap, which a million connections take more of than V8 gives by itself. */
const HEAP = 8192;

/** Runs one memory figure. */
export async function measureMemory(name: string): Promise<Record<string, number>> {
  const [module, ...args] = MEMORY_FIGURES[name]!;
  if (module !== "memory_steady.ts") {
    return JSON.parse(await run(module, args, `--expose-gc,--max-old-space-size=${HEAP}`)) as Record<
      string,
      number
    >;
  }
  const { garbage, pause, collections, rate } = await measureGarbage(args);
  return {
    [`Garbage a frame, ${args[0]}, bytes`]: garbage,
    [`Collections in ten million frames, ${args[0]}`]: collections,
    [`Longest of their pauses, ${args[0]}, ms`]: pause,
    [`Frames a second, all ends in one thread, ${args[0]}`]: rate,
  };
}

/** What a callback path leaves to the garbage collector. */
export interface Garbage {
  /** Bytes allocated a frame. */
  readonly garbage: number;
  /** Collections while the frames moved, and the longest pause of one, in ms. */
  readonly collections: number;
  readonly pause: number;
  /** Frames a second. */
  readonly rate: number;
}

/** Runs `memory_steady.ts`. @param args The path, and how many frames: ten million by default. */
export async function measureGarbage(args: readonly string[]): Promise<Garbage> {
  return readGarbage(await run("memory_steady.ts", args, "--expose-gc,--trace-gc"));
}

/**
 * Adds up what `memory_steady.ts` and V8's `--trace-gc` have printed: what the heap has grown by between the two collections
 * that were asked for, and what was collected on the way.
 */
export function readGarbage(text: string): Garbage {
  const report = /^\{"grown".*\}$/m.exec(text)?.[0];
  const lines = [
    ...text.matchAll(/ ms: [^\n]*? ([\d.]+) \([\d.]+\) -> ([\d.]+) \([\d.]+\) MB[^\n]*?, ([\d.]+) \/[^\n]*/g),
  ];
  const asked = lines.flatMap(([line], index) => line.includes("testing;") ? [index] : []);
  if (report === undefined || asked.length !== 2) {
    throw new Error(`Cannot read what V8 says of its collections:\n${text}`);
  }
  const { grown, frames, elapsed } = JSON.parse(report) as Record<"grown" | "frames" | "elapsed", number>;
  const between = lines.slice(asked[0]! + 1, asked[1]);
  const collected = between.reduce(
    (sum, [, before, after]) => sum + (Number(before) - Number(after)) * 2 ** 20,
    0,
  );
  return {
    garbage: (grown + collected) / frames,
    collections: between.length,
    pause: Math.max(0, ...between.map(([, , , pause]) => Number(pause))),
    rate: frames / elapsed * 1000,
  };
}

async function run(file: string, args: readonly string[], flags: string): Promise<string> {
  const module = new URL(file, import.meta.url).pathname;
  const { code, stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--quiet", "--no-check", `--v8-flags=${flags}`, module, ...args],
    stdout: "piped",
    stderr: "inherit",
    signal: AbortSignal.timeout(300_000),
  }).output();
  if (code !== 0) throw new Error(`Measuring "${file} ${args.join(" ")}" failed`);
  return new TextDecoder().decode(stdout);
}
