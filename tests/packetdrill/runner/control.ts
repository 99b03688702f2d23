/**
 * Control messages: what a script expects beside the data of recvmsg, and how what came is compared with it.
 *
 * @module
 */

import type { Expression } from "./ast.ts";
import { CONSTANTS as K } from "./constants.ts";
import { ERRNO } from "./errno.ts";
import { field, isOpen, number, show } from "./values.ts";

/** One control message. */
export interface Control {
  level: number;
  type: number;
  /** Its numbers, null for each that may be anything; null when all may. */
  values: (number | null)[] | null;
  /** Of a timestamp: when, in µs from the start of the script. */
  stamp: number | null;
}

/** struct sock_extended_err (linux/errqueue.h). */
const ERROR_FIELDS = ["ee_errno", "ee_origin", "ee_type", "ee_code", "ee_info", "ee_data"];

/** The number of a field, or of the name of an error. */
function part(e: Expression): number {
  const known = e.kind === "symbol" ? ERRNO[e.name] : undefined;
  return known === undefined ? number(e) : known[0];
}

/** What a script expects. */
export function expectedControl(e: Expression): Control {
  const data = field(e, "cmsg_data", 2);
  const control: Control = {
    level: number(field(e, "cmsg_level", 0)!),
    type: number(field(e, "cmsg_type", 1)!),
    values: null,
    stamp: null,
  };
  if (data === undefined || isOpen(data)) return control;
  if (data.kind !== "struct") control.values = [number(data)];
  else if ([...data.fields.keys()].some((name) => name.startsWith("ee_"))) {
    control.values = ERROR_FIELDS.map((name) => {
      const found = data.fields.get(name);
      return found === undefined || isOpen(found) ? null : part(found);
    });
  } else if (control.level === K.SOL_SOCKET) {
    const seconds = data.fields.get("scm_sec") ?? data.fields.get("tv_sec") ?? data.items[0];
    const rest = data.fields.get("scm_nsec") ?? data.fields.get("tv_nsec") ?? data.items[1];
    const micros = data.fields.get("tv_usec");
    if (seconds !== undefined && micros !== undefined && !isOpen(seconds) && !isOpen(micros)) {
      control.stamp = number(seconds) * 1e6 + number(micros);
      return control;
    }
    if (seconds !== undefined && rest !== undefined && !isOpen(seconds) && !isOpen(rest)) {
      control.stamp = number(seconds) * 1e6 + number(rest) / 1000;
    }
  }
  return control;
}

function fits(wanted: Control, got: Control, tolerance: number): boolean {
  if (wanted.level !== got.level || wanted.type !== got.type) return false;
  if (wanted.stamp !== null && Math.abs(wanted.stamp - (got.stamp ?? Infinity)) > tolerance) return false;
  return wanted.values === null ||
    wanted.values.every((value, i) => value === null || value === got.values?.[i]);
}

/** A control message as a script would write it. */
function controlText({ level, type, values, stamp }: Control): string {
  const name = (prefix: RegExp, value: number) =>
    Object.keys(K).find((key) => prefix.test(key) && K[key] === value) ?? String(value);
  const data = stamp !== null
    ? `{scm_sec=${Math.floor(stamp / 1e6)}, scm_nsec=${Math.round(stamp % 1e6) * 1000}}`
    : values?.length === ERROR_FIELDS.length
    ? `{${ERROR_FIELDS.map((field, i) => `${field}=${values[i]}`).join(", ")}}`
    : values?.join(", ") ?? "...";
  return `{cmsg_level=${name(/^SOL_/, level)}, cmsg_type=${
    name(level === K.SOL_SOCKET ? /^SCM_/ : level === K.SOL_TCP ? /^TCP_CM/ : /^IP(V6)?_/, type)
  }, cmsg_data=${data}}`;
}

/**
 * What differs between the flags and the control messages that a script expects of recvmsg and those that came, in words.
 * @param tolerance Of timestamps, in µs.
 */
export function messageMismatch(
  message: Expression | undefined,
  got: Control[],
  flags: number,
  tolerance: number,
): string | null {
  const control = field(message, "msg_control", 3), wantedFlags = field(message, "msg_flags", 4);
  if (control?.kind === "list") {
    const wanted = control.items.map(expectedControl);
    if (wanted.length !== got.length || !wanted.every((one, i) => fits(one, got[i]!, tolerance))) {
      const text = got.map(controlText).join(", ");
      return `control messages ${control.items.map(show).join(", ")} got ${text === "" ? "none" : text}`;
    }
  }
  if (wantedFlags === undefined || isOpen(wantedFlags) || number(wantedFlags) === flags) return null;
  return `msg_flags ${show(wantedFlags)} got ${flags}`;
}
