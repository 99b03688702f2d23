/**
 * `deno task bench [NAME…] [--json FILE] [--chart FILE.svg] [--seconds N] [--rounds N]`: prints what the README shows. With `--loss
 * [--row TEXT]…`: goodput over bad links instead (`loss.ts`), in all rows or in those whose name contains a text.
 *
 * Every figure stands beside that of the kernel's stack with Deno's own API, measured in the same run: the contenders
 * take turns, round by round, and the medians are shown. See bench/README.md for how each figure is made.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { type Command, ensureCommands, MissingPackages } from "../scripts/system_packages.ts";
import { measureBoot } from "./boot.ts";
import { type Bar, drawChart } from "./chart.ts";
import { describeEnvironment } from "./environment.ts";
import { FIGURES, type Networks, type Place } from "./figures.ts";
import { ForwardingNetwork, type Links } from "./forwarding.ts";
import { createGuests } from "./guests.ts";
import { measureLoss } from "./loss.ts";
import { measureMemory, MEMORY_FIGURES } from "./memory.ts";
import { BenchNetwork, type Contender, CONTENDERS } from "./network.ts";
import type { Measured } from "./peer/main.ts";
import { median } from "./statistics.ts";
import { figure, table } from "./table.ts";

const COMMANDS: Command[] = ["ip", "wrk", "ping", "ethtool"];

/** What `--json` writes. */
interface Report {
  environment: Record<string, string>;
  seconds: number;
  rounds: number;
  /** Every value of every round, by figure and contender. */
  figures: Record<string, Partial<Record<Contender, Measured[]>>>;
  memory: Record<string, number>;
  /** ms from power-on. */
  boot: Record<string, number>;
}

/** The contenders' medians of one value, in their order; NaN for those that had no part. */
function mediansOf(runs: Partial<Record<Contender, Measured[]>>, value: string): number[] {
  return CONTENDERS.map((contender) =>
    median((runs[contender] ?? []).map((measured) => measured[value] ?? NaN))
  );
}

/** What callbacks and connections are as multiples of the kernel, more being better. Idle, both need nothing: no multiple. */
function multiples(medians: readonly number[], less: boolean): [number, number] {
  const [callbacks, connections, , kernel] = medians as [number, number, number, number];
  const multiple = (ours: number) => kernel > 0 ? (less ? kernel / ours : ours / kernel) : NaN;
  return [multiple(callbacks), multiple(connections)];
}

function printNetwork(report: Report): void {
  const rows: string[][] = [];
  for (const [name, runs] of Object.entries(report.figures)) {
    for (const { title, value, unit, divisor, less = false } of FIGURES[name]?.rows ?? []) {
      const medians = mediansOf(runs, value);
      const [callbacks, connections] = multiples(medians, less);
      // What an application sees counts, where there is such a thing.
      const multiple = figure(Number.isNaN(connections) ? callbacks : connections);
      rows.push([title, unit, ...medians.map((value) => figure(value / divisor)), multiple]);
    }
  }
  const header = [
    "Over a network",
    "unit",
    "ethox, callbacks",
    "ethox, connections",
    "ethox, packet socket",
    "Deno on the kernel",
    "× the kernel",
  ];
  console.log(`\n${table(header, rows)}`);
}

/** Seconds of load before a figure of the guests is measured, and how often. */
const WARM_UP = 4;
const WARM_UPS = 3;

/** The networks that figures need, each made when it is first asked for. */
class MadeNetworks implements Networks, AsyncDisposable {
  readonly #made = new Map<Place, BenchNetwork>();
  readonly #routers = new Map<Links, ForwardingNetwork>();

  async get(place: Place): Promise<BenchNetwork> {
    const known = this.#made.get(place);
    if (known !== undefined) return known;
    const network = place === "guest"
      ? await createGuests()
      : await BenchNetwork.create({ plain: place !== "host", direct: place === "direct" });
    this.#made.set(place, network);
    return network;
  }

  async router(links: Links): Promise<ForwardingNetwork> {
    const known = this.#routers.get(links);
    if (known !== undefined) return known;
    const network = await ForwardingNetwork.create(links);
    this.#routers.set(links, network);
    return network;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const network of this.#made.values()) await network[Symbol.asyncDispose]();
    for (const network of this.#routers.values()) await network[Symbol.asyncDispose]();
  }
}

/** The figures as multiples of the kernel's, more being better. */
function bars(report: Report): Bar[] {
  const all: Bar[] = [];
  for (const [name, runs] of Object.entries(report.figures)) {
    for (const { title, value, less = false } of FIGURES[name]?.rows ?? []) {
      const [callbacks, connections] = multiples(mediansOf(runs, value), less);
      if (!Number.isNaN(callbacks) || !Number.isNaN(connections)) all.push({ title, callbacks, connections });
    }
  }
  return all;
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    args: Deno.args,
    allowPositionals: true,
    options: {
      json: { type: "string" },
      chart: { type: "string" },
      seconds: { type: "string", default: "3" },
      rounds: { type: "string", default: "5" },
      loss: { type: "boolean", default: false },
      row: { type: "string", multiple: true, default: [] },
    },
  });
  const seconds = Number(values.seconds);
  const rounds = Number(values.rounds);
  if (!(seconds > 0 && seconds <= 60) || !(Number.isInteger(rounds) && rounds >= 1 && rounds <= 20)) {
    throw new TypeError(
      `Cannot bench ${values.rounds} rounds of ${values.seconds} s; give 1 to 20 rounds of at most 60 s`,
    );
  }
  const names = [...Object.keys(FIGURES), ...Object.keys(MEMORY_FIGURES), "boot"];
  const unknown = positionals.find((name) => !names.includes(name));
  if (unknown !== undefined) {
    throw new TypeError(`No figure is called "${unknown}"; there are: ${names.join(", ")}`);
  }
  const selected = (name: string) => positionals.length === 0 || positionals.includes(name);

  await ensureCommands(COMMANDS);
  if (values.loss) {
    const measured = await measureLoss({ seconds, rounds, rows: values.row });
    if (values.json !== undefined) await Deno.writeTextFile(values.json, JSON.stringify(measured, null, 2));
    return 0;
  }
  const chosen = Object.entries(FIGURES).filter(([name]) => selected(name));
  await using networks = new MadeNetworks();
  const report: Report = {
    environment: await describeEnvironment((await networks.get("host")).peer),
    seconds,
    rounds,
    figures: {},
    memory: {},
    boot: {},
  };
  for (const [name, value] of Object.entries(report.environment)) console.log(`${name}: ${value}`);
  console.log(`${rounds} rounds of ${seconds} s, the contenders in turn; medians\n`);

  for (const [name, { measure, contenders, place }] of chosen) {
    if (place === "guest") {
      // Under emulation the compilers take seconds to find the hot paths, in both guests. V8 then throws away what it has made
      // of them when connections end, which none had done before: it has to see that as well.
      for (let load = 0; load < WARM_UPS; load++) {
        for (const contender of contenders) await measure(networks, contender, WARM_UP);
      }
    }
    const runs: Partial<Record<Contender, Measured[]>> = report.figures[name] = {};
    for (let round = 0; round < rounds; round++) {
      for (const contender of round % 2 === 0 ? contenders : contenders.toReversed()) {
        const measured = await measure(networks, contender, seconds);
        (runs[contender] ??= []).push(measured);
        const shown = Object.entries(measured).map(([key, value]) => `${key} ${figure(value)}`).join(", ");
        console.log(`${name} ${contender}: ${shown}`);
      }
    }
  }
  for (const name of Object.keys(MEMORY_FIGURES)) {
    if (selected(name)) Object.assign(report.memory, await measureMemory(name));
  }
  if (selected("boot")) report.boot = await measureBoot(rounds);
  if (Object.keys(report.figures).length > 0) printNetwork(report);
  if (Object.keys(report.memory).length > 0) {
    const rows = Object.entries(report.memory).map(([name, value]) => [name, figure(value)]);
    console.log(`\n${table(["Memory", "value"], rows)}`);
  }
  if (Object.keys(report.boot).length > 0) {
    const rows = Object.entries(report.boot).map(([name, value]) => [name, figure(value)]);
    console.log(`\n${table(["From power-on, under software emulation", "value"], rows)}`);
  }
  if (values.chart !== undefined) {
    const { kernel, processor, deno } = report.environment;
    const caption = `${kernel}, ${processor}, Deno ${deno}; medians of ${rounds} rounds of ${seconds} s`;
    await Deno.writeTextFile(values.chart, await drawChart(bars(report), caption));
  }
  if (values.json !== undefined) {
    await Deno.writeTextFile(values.json, JSON.stringify(report, null, 2) + "\n");
  }
  return 0;
}

if (import.meta.main) {
  try {
    Deno.exitCode = await main();
  } catch (error) {
    if (!(error instanceof TypeError || error instanceof MissingPackages)) throw error;
    console.error(error.message);
    Deno.exitCode = 1;
  }
}
