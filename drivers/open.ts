/**
 * Devices by the names that people give on a command line.
 *
 * @module
 */

import type { Device } from "../stack/device.ts";
import { TapDevice } from "./tap.ts";
import { TunDevice } from "./tun.ts";

/** Options of {@link openDevice}; a kind of device that has no use for one ignores it. */
export interface OpenDeviceOptions {
  /** Our link address; the device's own, or a random one, by default. */
  mac?: Uint8Array;
  /** `all` that the device has (the default), or `none`: every frame as on a wire. */
  offloads?: "all" | "none";
  /** How the kernel takes what a TAP or TUN device sends; by default `direct` with offloads, and `threaded` without where it can be had. */
  delivery?: "direct" | "threaded";
  /** Network namespace of a TAP, TUN or packet device, by its `ip netns` name. */
  namespace?: string;
}

/** What {@link openDevice} understands, for the help text of a program. */
export const DEVICE_SYNTAX =
  "tap:NAME | tun:NAME | packet:NAME | qemu:PATH | virtio:auto | bridge:DEVICE,DEVICE";

/**
 * Opens a device.
 *
 * - `tap:NAME`: the TAP device of that name, which is made if it does not exist (`tap:` takes any name).
 * - `tun:NAME`: as `tap:NAME`, for bare IP packets (layer 3).
 * - `packet:NAME`: an interface of the kernel's that exists (veth, a port of a bridge, a network card), by a packet socket.
 * - `qemu:PATH`: connects to the stream socket of a QEMU at PATH; `qemu:listen:PATH` waits for QEMU to connect.
 * - `virtio:auto`, or `virtio:0000:00:03.0`: the virtio-net device on the PCI bus, or the one at that address.
 * - `bridge:DEVICE,DEVICE,…`: a bridge whose ports are these devices, on which we are one more station.
 * @throws {TypeError} If `spec` is none of these. @throws {Error} If the device can't be opened; the message says what to do.
 */
export async function openDevice(spec: string, options: OpenDeviceOptions = {}): Promise<Device> {
  const colon = spec.indexOf(":");
  const kind = colon < 0 ? spec : spec.slice(0, colon);
  const rest = colon < 0 ? "" : spec.slice(colon + 1);
  const { mac, offloads, namespace, delivery } = options;
  const kernel = { ...offloads && { offloads }, ...namespace && { namespace }, ...delivery && { delivery } };
  switch (colon < 0 ? "" : kind) {
    case "tap":
      return TapDevice.open({
        name: rest,
        ...mac && { mac },
        ...kernel,
      });
    case "tun":
      return TunDevice.open({ name: rest, ...kernel });
    case "packet": {
      if (rest === "") break;
      const { PacketSocketDevice } = await import("./packet_socket.ts");
      return PacketSocketDevice.open({
        name: rest,
        ...mac && { mac },
        ...offloads && { offloads },
        ...namespace && { namespace },
      });
    }
    case "qemu": {
      if (rest === "" || rest === "listen:") break;
      const { QemuDevice } = await import("./qemu.ts");
      return rest.startsWith("listen:")
        ? await QemuDevice.listen(rest.slice("listen:".length), { ...mac && { mac } })
        : await QemuDevice.connect(rest, { ...mac && { mac } });
    }
    case "virtio": {
      // Its module is large, and most programs run on a TAP.
      const { VirtioNet } = await import("./virtio_net.ts");
      return VirtioNet.open(rest === "" ? "auto" : rest, offloads === "none" ? { offloads: 0 } : {});
    }
    case "bridge":
      if (rest !== "") return await openBridge(rest.split(","), options);
  }
  throw new TypeError(`Device "${spec}" is not known; write ${DEVICE_SYNTAX}`);
}

async function openBridge(specs: string[], options: OpenDeviceOptions): Promise<Device> {
  const { BridgeDevice } = await import("./bridge.ts");
  const { mac, ...others } = options;
  const devices: Device[] = [];
  try {
    for (const spec of specs) devices.push(await openDevice(spec, others));
    return new BridgeDevice(devices, mac === undefined ? {} : { mac });
  } catch (error) {
    for (const device of devices) device.close();
    throw error;
  }
}
