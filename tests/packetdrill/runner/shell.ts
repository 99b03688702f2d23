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
}

/** Runs a command's lines. @param warn Gets what is passed over. */
export function runCommand(text: string, settings: Settings, warn: (message: string) => void): void {
  const joined = text.replace(/\\\r?\n/g, " ");
  for (const line of joined.split(/\r?\n|&&|;|\|\|/)) {
    const command = line.replace(/(^|\s)#.*$/, "").replace(/\s*\d?>{1,2}\s*(?:&\d|\/dev\/null)/g, "").trim();
    if (command !== "") runOne(command, settings, warn);
  }
}

function words(command: string): string[] {
  const found = command.match(/(?:"[^"]*"|'[^']*'|[^\s"'])+/g) ?? [];
  return found.map((word) => word.replace(/(["'])(.*?)\1/g, "$2"));
}

function runOne(command: string, settings: Settings, warn: (message: string) => void): void {
  const [program = "", ...args] = words(command);
  const name = program.slice(program.lastIndexOf("/") + 1);
  if (/^(?:set_)?defaults?\.sh$/.test(name)) {
    settings.defaults();
    return;
  }
  if (name === "sysctl" || name === "set_sysctls.py") {
    for (const arg of args) {
      if (arg.startsWith("-")) continue;
      const at = arg.indexOf("=");
      if (at > 0) setKey(arg.slice(0, at), arg.slice(at + 1), settings);
    }
    return;
  }
  const echo = /^echo\s+(?:-n\s+)?["']?([^"'>]*?)["']?\s*>\s*(\/proc\/sys\/\S+)$/.exec(command);
  if (echo !== null) {
    setKey(echo[2]!, echo[1]!, settings);
    return;
  }
  if (name === "ip") {
    const rest = args.filter((word) => !/^-[46]$/.test(word));
    if (/^r(?:o(?:ute?)?)?$/.test(rest[0] ?? "") && settings.route(rest.slice(1))) return;
  }
  warn(`Command "${command}" is passed over`);
}

function setKey(key: string, value: string, settings: Settings): void {
  settings.set(key.trim().replace(/^\/proc\/sys\//, "").replaceAll("/", "."), value.trim());
}
