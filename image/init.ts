/**
 * What process 1 does before the program: it prepares the machine. Deno runs this file first (`--preload`) and then
 * the program as its main module.
 *
 * It must load no `node:` module before `/proc` is mounted, and neither may what it imports: Deno's `node:process`
 * stops the process when `/proc` is missing.
 *
 * @module
 */

import { loadModule, mount, uptime } from "../drivers/ffi/system.ts";
import { bindVirtio, reserveHugePages } from "../drivers/virtio/uio.ts";
import { configureInterface } from "../drivers/ffi/rtnetlink.ts";
import { Cidr, IpAddress } from "../stack/ip/address.ts";
import {
  CONFIG_FW_CFG,
  CONFIG_PATH,
  type GuestConfig,
  KERNEL_DEVICE,
  parseConfig,
  programArguments,
} from "./config.ts";
import { endWithProgram, fail } from "./guest_exit.ts";

/** Where the list of kernel modules lies, one path a line, in the order of loading. */
const MODULES = "/lib/modules/load";
/** What QEMU hands over, by name. */
const FW_CFG = "/sys/firmware/qemu_fw_cfg/by_name";
/** Memory that the network device may take for frames: pages of 2 MiB. */
const HUGE_PAGES = 12;

function stage(text: string): void {
  console.log(`[ethox] ${uptime().toFixed(0).padStart(5)} ms  ${text}`);
}

function mountAll(): void {
  mount("proc", "/proc", "proc");
  mount("sysfs", "/sys", "sysfs");
  mount("devtmpfs", "/dev", "devtmpfs");
  mount("tmpfs", "/tmp", "tmpfs");
  stage(`process 1: Deno ${Deno.version.deno}; proc, sys, dev and tmp mounted`);
}

function loadModules(): void {
  const paths = Deno.readTextFileSync(MODULES).split("\n").filter((path) => path !== "");
  for (const path of paths) loadModule(path);
  stage(
    `${paths.length} kernel modules loaded: ${
      paths.map((path) => path.replace(/^.*\/|\.ko$/g, "")).join(" ")
    }`,
  );
}

/** The configuration that QEMU hands over, or null. */
function handedOver(): string | null {
  try {
    // An exception costs tens of milliseconds here, for the source map of its stack: most often there is no such folder.
    const [folder] = CONFIG_FW_CFG.split("/");
    if (![...Deno.readDirSync(FW_CFG)].some(({ name }) => name === folder)) return null;
    return Deno.readTextFileSync(`${FW_CFG}/${CONFIG_FW_CFG}/raw`);
  } catch {
    return null;
  }
}

function readConfig(): GuestConfig {
  const given = handedOver();
  const source = given === null ? "the image" : "QEMU";
  const text = given ?? Deno.readTextFileSync(`/${CONFIG_PATH}`);
  const config = parseConfig(JSON.parse(text));
  stage(`configuration from ${source}: ${programArguments(config).join(" ") || "none"}`);
  return config;
}

function takeDevices(): void {
  const interfaces = [...Deno.readDirSync("/sys/class/net")].map((entry) => entry.name).sort();
  stage(`network interfaces of the kernel: ${interfaces.join(" ")}`);
  const devices = bindVirtio();
  if (devices.length === 0) {
    stage("no virtio-net device");
    return;
  }
  const pages = reserveHugePages(HUGE_PAGES * devices.length);
  stage(`virtio-net for user space: ${devices.join(" ")}; ${pages} huge pages`);
}

/** Gives the kernel's interface its addresses, for programs on Deno's own sockets. */
function configureKernel(config: GuestConfig): void {
  const names = [...Deno.readDirSync("/sys/class/net")].map((entry) => entry.name).sort();
  for (const name of ["lo", names.find((name) => name !== "lo")]) {
    if (name === undefined) throw new Error("Cannot find a network interface of the kernel");
    const own = name !== "lo";
    const addresses = own ? config.addresses.map(Cidr.parse) : [];
    const gateway = own && config.gateway !== "" ? IpAddress.parse(config.gateway) : null;
    const index = Number(Deno.readTextFileSync(`/sys/class/net/${name}/ifindex`));
    configureInterface({ name, index, addresses, gateway });
    if (own) stage(`the kernel's ${name}: ${config.addresses.join(" ")}`);
  }
}

/**
 * Programs read their arguments in Deno's way or in Node's, which `parseArgs` of `node:util` does by default. The
 * global `process` is there in half the time that an import of `node:process` takes.
 */
function setArguments(args: string[]): void {
  Object.defineProperty(Deno, "args", { get: () => args, enumerable: true, configurable: true });
  const { process } = globalThis as unknown as { process: { argv: string[] } };
  process.argv.splice(2, Infinity, ...args);
}

try {
  endWithProgram();
  mountAll();
  loadModules();
  const config = readConfig();
  if (config.device === KERNEL_DEVICE) configureKernel(config);
  else takeDevices();
  setArguments(programArguments(config));
  stage("starting the program");
} catch (error) {
  fail("Cannot start the machine:", error);
}
