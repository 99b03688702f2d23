/**
 * Takes PCI devices over from the kernel through its `uio_pci_generic` driver
 * (Documentation/driver-api/uio-howto.rst of the Linux sources).
 *
 * @module
 */

/** Where the kernel lists PCI devices. */
export const PCI_DEVICES = "/sys/bus/pci/devices";
const DRIVER = "/sys/bus/pci/drivers/uio_pci_generic";

/** PCI vendor of virtio devices (virtio 1.2, section 4.1.2). */
const VENDOR = "0x1af4";
/** PCI device number of a modern network device: 0x1040 + 1. */
const NETWORK_DEVICE = "0x1041";

/** Addresses of the modern virtio-net devices on the PCI bus (`0000:00:02.0`), sorted. */
export function findVirtioNet(): string[] {
  const found: string[] = [];
  let entries: Deno.DirEntry[];
  try {
    entries = [...Deno.readDirSync(PCI_DEVICES)];
  } catch {
    return found;
  }
  for (const { name } of entries) {
    if (attribute(name, "vendor") === VENDOR && attribute(name, "device") === NETWORK_DEVICE) {
      found.push(name);
    }
  }
  return found.sort();
}

function attribute(address: string, name: string): string {
  try {
    return Deno.readTextFileSync(`${PCI_DEVICES}/${address}/${name}`).trim();
  } catch {
    return "";
  }
}

/**
 * Binds every virtio-net device that no driver has to `uio_pci_generic`, which must be loaded.
 * @returns The addresses of those that are bound.
 */
export function bindVirtio(): string[] {
  const devices = findVirtioNet();
  if (devices.length === 0) return [];
  try {
    Deno.writeTextFileSync(`${DRIVER}/new_id`, `${VENDOR.slice(2)} ${NETWORK_DEVICE.slice(2)}`);
  } catch (error) {
    // EEXIST: said before.
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
  }
  return devices.filter((address) => uioNumber(address) >= 0);
}

/** The number N of the `/dev/uioN` that stands for the device, or -1 while it is not bound to UIO. */
export function uioNumber(address: string): number {
  try {
    for (const { name } of Deno.readDirSync(`${PCI_DEVICES}/${address}/uio`)) {
      if (/^uio[0-9]+$/.test(name)) return Number(name.slice(3));
    }
  } catch {
    // No such directory: another driver has it, or none.
  }
  return -1;
}

/**
 * Makes sure that a device is bound to UIO.
 * @returns The number N of its `/dev/uioN`.
 * @throws {Error} When it is not; the message says who has it, and how to hand it over.
 */
export function checkBound(address: string): number {
  const number = uioNumber(address);
  if (number >= 0) return number;
  const driver = driverOf(address);
  throw new Error(
    `Cannot take over the PCI device "${address}": ` +
      (driver === null
        ? `bind it to the kernel driver "uio_pci_generic" as root`
        : `the kernel's "${driver}" drives it; if this machine can do without, unbind it from there and bind it to ` +
          `"uio_pci_generic" as root`),
  );
}

/** The kernel driver that has the device, or null. */
function driverOf(address: string): string | null {
  try {
    return Deno.readLinkSync(`${PCI_DEVICES}/${address}/driver`).replace(/^.*\//, "");
  } catch {
    return null;
  }
}

/**
 * Asks the kernel for huge pages of 2 MiB; never takes away what is reserved already.
 * @returns How many there are now, which may be less.
 */
export function reserveHugePages(pages: number): number {
  const path = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages";
  const free = Number(Deno.readTextFileSync("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages"));
  const total = Number(Deno.readTextFileSync(path));
  if (free < pages) Deno.writeTextFileSync(path, String(total + pages - free));
  return Number(Deno.readTextFileSync(path));
}
