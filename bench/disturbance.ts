/**
 * What other programs take of the machine while something is measured: a figure that they have spoilt tells nothing about who is
 * measured, whoever that is.
 *
 * @module
 */

/** Processor time so far, in ticks of the kernel's. */
interface Ticks {
  /** Of all programs, and what the hypervisor gave to others. */
  busy: number;
  /** Of this process, its children that have ended, and those that were named. */
  ours: number;
}

/** Ticks a second of /proc (USER_HZ). */
const HZ = 100;

/** Looks from its making on. */
export class Disturbance {
  readonly #start = performance.now();
  readonly #before: Ticks;
  readonly #pids: readonly number[];

  /** @param pids Processes of ours that go on living; those that end before {@link others} count anyway. */
  constructor(pids: readonly number[]) {
    this.#pids = pids;
    this.#before = ticks(pids);
  }

  /** The share of all processors that others had since then, 0 to 1. Interrupts count for nobody. */
  others(): number {
    const now = ticks(this.#pids);
    const elapsed = (performance.now() - this.#start) / 1000 * HZ * navigator.hardwareConcurrency;
    const others = now.busy - this.#before.busy - (now.ours - this.#before.ours);
    return Math.min(1, Math.max(0, others / elapsed));
  }
}

function ticks(pids: readonly number[]): Ticks {
  const [, user, nice, system, , , , , steal] = Deno.readTextFileSync("/proc/stat").split("\n")[0]!.split(
    /\s+/,
  )
    .map(Number);
  // Fields 14 to 17 of proc_pid_stat(5): its own time, and that of children it has waited for.
  const self = fields("self");
  let ours = self[13]! + self[14]! + self[15]! + self[16]!;
  for (const pid of pids) {
    const stat = fields(`${pid}`);
    ours += stat[13]! + stat[14]!;
  }
  return { busy: user! + nice! + system! + steal!, ours };
}

/** The fields of a process's stat; its name, which may hold spaces, counts as one. */
function fields(process: string): number[] {
  const text = Deno.readTextFileSync(`/proc/${process}/stat`);
  return ["0", "0", ...text.slice(text.lastIndexOf(")") + 2).split(" ")].map(Number);
}
