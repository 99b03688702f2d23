/**
 * Avahi as a peer: on a bus and with files of its own, so that the machine's are neither seen nor touched.
 *
 * @module
 */

import type { Namespace } from "../harness/namespace.ts";
import type { Process, Result } from "../harness/process.ts";

/** A responder in a namespace; `await using` it. */
export class Avahi implements AsyncDisposable {
  readonly #namespace: Namespace;
  readonly #directory: string;
  readonly #processes: Process[];

  private constructor(namespace: Namespace, directory: string, processes: Process[]) {
    this.#namespace = namespace;
    this.#directory = directory;
    this.#processes = processes;
  }

  /** Starts it on an interface, as `NAME.local`, with one service: `SERVICE` of `_http._tcp` at port 8081. */
  static async start(namespace: Namespace, device: string, name: string, service: string): Promise<Avahi> {
    const directory = await Deno.makeTempDir({ prefix: "ethox-avahi-" });
    await Deno.mkdir(`${directory}/services`);
    await Deno.writeTextFile(
      `${directory}/bus.conf`,
      `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
        "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
      <busconfig><type>system</type><listen>unix:path=${directory}/bus</listen><auth>EXTERNAL</auth>
      <policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/>
      <allow own="*"/><allow user="*"/></policy></busconfig>`,
    );
    await Deno.writeTextFile(
      `${directory}/avahi.conf`,
      `[server]\nhost-name=${name}\nallow-interfaces=${device}\nallow-point-to-point=yes\n` +
        "[wide-area]\nenable-wide-area=no\n[publish]\npublish-workstation=no\n[rlimits]\n",
    );
    await Deno.writeTextFile(
      `${directory}/services/one.service`,
      `<?xml version="1.0" standalone='no'?><!DOCTYPE service-group SYSTEM "avahi-service.dtd">
      <service-group><name>${service}</name><service><type>_http._tcp</type><port>8081</port>
      <txt-record>path=/peer</txt-record></service></service-group>`,
    );
    const processes: Process[] = [];
    const avahi = new Avahi(namespace, directory, processes);
    try {
      const bus = namespace.spawn("dbus-daemon", [
        `--config-file=${directory}/bus.conf`,
        "--nofork",
        "--print-address",
      ], { deadline: 180_000 });
      processes.push(bus);
      await bus.printed(/unix:path/);
      // The paths of its pid file and of its services are built in.
      const script = `mkdir -p /run/avahi-daemon && mount -t tmpfs none /run/avahi-daemon &&
        mount --bind ${directory}/services /etc/avahi/services &&
        exec avahi-daemon -f ${directory}/avahi.conf --no-drop-root --no-chroot --no-rlimits --no-proc-title`;
      const daemon = namespace.spawn("unshare", ["-m", "sh", "-c", script], {
        deadline: 180_000,
        env: avahi.#env,
      });
      processes.push(daemon);
      await daemon.printed(/successfully established/);
      return avahi;
    } catch (error) {
      await avahi[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Runs one of its tools. */
  run(command: "avahi-browse" | "avahi-resolve", ...args: string[]): Promise<Result> {
    return this.#namespace.attempt(command, args, { deadline: 30_000, env: this.#env });
  }

  /** Ends it. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const process of this.#processes.reverse()) await process.stop();
    await Deno.remove(this.#directory, { recursive: true });
  }

  get #env(): Record<string, string> {
    return { DBUS_SYSTEM_BUS_ADDRESS: `unix:path=${this.#directory}/bus` };
  }
}
