/**
 * Shell lines of scripts: what they set is handed on as settings. Nothing is ever executed here.
 *
 * @module
 */

/** What shell lines may change. */
export interface Settings {
  /** A key such as `net.ipv4.tcp_sack`, dots between its parts. */
  set(key: string, value: string): void;
  /** What a shared defaults script sets. */
  defaults(): void;
  /** A line that begins with `ip route`, without these words. @returns False if it means nothing here. */
  route(words: string[]): boolean;
  /** The largest packet of the device, in bytes. */
  setMtu(mtu: number): void;
}

/** µs of the units that `sleep` takes. */
const SLEEP_UNITS: Record<string, number> = { "": 1e6, s: 1e6, m: 60e6, h: 3600e6 };

/** Words in front of a command that change nothing about what it sets. */
const PREFIXES = new Set(["then", "do", "else", "sudo", "time", "exec", "command", "builtin", "!", "{", "("]);
/** Words that are no commands, and commands that do nothing. */
const NOTHING = new Set(["fi", "done", "esac", "}", ")", "true", ":", "wait", ""]);

/** Runs a command's lines. @param warn Gets what is passed over. @returns µs that it sleeps in all. */
export function runCommand(text: string, settings: Settings, warn: (message: string) => void): number {
  let slept = 0;
  for (const line of commandsOf(text.replace(/\\\r?\n/g, " "))) {
    const command = withoutRedirections(line);
    const time = /^(?:\S*\/)?u?sleep\s+([\d.]+)([smh]?)$/.exec(command);
    if (time !== null) slept += Number(time[1]) * (/usleep/.test(command) ? 1 : SLEEP_UNITS[time[2]!]!);
    else if (command !== "") runOne(command, settings, warn);
  }
  return slept;
}

/**
 * The single commands: apart at line ends, `;`, `&` and `&&`, outside of quotes. What stands behind `||` is not run: what
 * stands in front of it has worked.
 */
function commandsOf(text: string): string[] {
  const found: string[] = [];
  let current = "", quote = "", skipping = false;
  const end = () => {
    if (!skipping) found.push(current.trim());
    current = "";
  };
  for (let i = 0; i < text.length; i++) {
    const c = text[i]!;
    if (quote !== "") {
      if (c === quote) quote = "";
      current += c;
    } else if (c === '"' || c === "'") {
      quote = c;
      current += c;
    } else if (c === "#" && /(^|\s)$/.test(current)) {
      while (i + 1 < text.length && text[i + 1] !== "\n") i++;
    } else if (c === "\n" || c === ";" || c === "\r") {
      end();
      skipping = false;
    } else if (c === "&" && !/>$/.test(current) && text[i + 1] !== ">") {
      end();
      if (text[i + 1] === "&") i++;
      else skipping = false;
    } else if (c === "|" && text[i + 1] === "|") {
      end();
      skipping = true;
      i++;
    } else current += c;
  }
  end();
  return found;
}

/** A command without what it says of its output, unless that goes to a setting. */
function withoutRedirections(command: string): string {
  return command.replace(/\s*(?:\d|&)?>{1,2}\s*(?:&\d|(?!\s*\/proc\/sys\/)[^\s|;>]+)/g, "")
    .replace(/\s*\d?<\s*\/dev\/null/g, "").trim();
}

function words(command: string): string[] {
  const found = command.match(/(?:"[^"]*"|'[^']*'|[^\s"'])+/g) ?? [];
  return found.map((word) => word.replace(/(["'])(.*?)\1/gs, "$2"));
}

function runOne(command: string, settings: Settings, warn: (message: string) => void): void {
  let all = words(command);
  while (all.length > 0 && (PREFIXES.has(all[0]!) || /^[A-Za-z_]\w*=/.test(all[0]!))) all = all.slice(1);
  const [program = "", ...args] = all;
  const name = program.replace(/^\(+/, "").replace(/^.*\//, "");
  if (NOTHING.has(name)) return;
  if (/^(?:set_)?defaults?(?:[_-]\w+)?\.sh$/.test(name)) {
    settings.defaults();
    return;
  }
  if (/^(?:ba|da|z|k)?sh$|^eval$|^source$|^\.$/.test(name)) {
    const inner = args.filter((arg) => !/^-[a-z]*$/.test(arg)).join(" ");
    if (inner !== "") runCommand(inner, settings, warn);
    return;
  }
  if (name === "sysctl" || /^set_sysctls?(?:\.py|\.sh)?$/.test(name)) {
    if (setKeys(args, settings)) return;
  } else if (written(command, all, settings)) return;
  else if (name === "ip" && network(args, settings)) return;
  else if (name === "ifconfig" && deviceMtu(args, settings)) return;
  warn(`Command "${command}" is passed over`);
}

/** `key=value`, also with blanks around the sign. @returns Whether something was set. */
function setKeys(args: readonly string[], settings: Settings): boolean {
  const rest = args.filter((arg) => !/^-[a-zA-Z]+$|^--\w+$/.test(arg));
  let any = false;
  for (let i = 0; i < rest.length; i++) {
    const arg = rest[i]!;
    const at = arg.indexOf("=");
    if (at > 0) {
      const value = arg.slice(at + 1);
      setKey(arg.slice(0, at), value === "" ? rest[++i] ?? "" : value, settings);
      any = true;
    } else if (rest[i + 1]?.startsWith("=")) {
      const value = rest[++i]!.slice(1);
      setKey(arg, value === "" ? rest[++i] ?? "" : value, settings);
      any = true;
    }
  }
  return any;
}

/** `echo VALUE > /proc/sys/…` and `echo VALUE | tee /proc/sys/…`. */
function written(command: string, all: readonly string[], settings: Settings): boolean {
  const target = /(?:>|\|\s*(?:sudo\s+)?tee(?:\s+-a)?)\s*["']?(\/proc\/sys\/[^\s"'|;)]+)/.exec(command);
  if (target === null || !/^(?:echo|printf)$/.test(all[0]!)) return false;
  const end = all.findIndex((word) => /^[|>]/.test(word));
  const value = all.slice(1, end < 0 ? undefined : end).filter((word) => !/^-[neE]+$/.test(word)).join(" ");
  setKey(target[1]!, value.replace(/>.*$/s, "").replace(/\\n$/, ""), settings);
  return true;
}

/** What `ip` is told of routes and of the device. */
function network(args: readonly string[], settings: Settings): boolean {
  const rest = args.filter((word) => !/^-(?:[46]|br?|batch|force|o|d|s)$/.test(word));
  if (/^r(?:o(?:u(?:te?)?)?)?$/.test(rest[0] ?? "")) return settings.route(rest.slice(1));
  return /^l(?:i(?:nk?)?)?$/.test(rest[0] ?? "") && rest[1] === "set" && deviceMtu(rest, settings);
}

function deviceMtu(args: readonly string[], settings: Settings): boolean {
  const at = args.indexOf("mtu");
  const mtu = Number(args[at + 1]);
  if (at < 0 || !Number.isInteger(mtu)) return false;
  settings.setMtu(mtu);
  return true;
}

function setKey(key: string, value: string, settings: Settings): void {
  const name = key.trim().replace(/^\/*proc\/sys\//, "").replaceAll("/", ".");
  settings.set(name, value.trim().replace(/\s+/g, " "));
}
