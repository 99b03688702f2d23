/**
 * Opens devices by the names that a person writes.
 *
 * @module
 */

import type { Device } from "../stack/device.ts";
import { TapDevice } from "../drivers/tap.ts";
import { VirtioNet } from "../drivers/virtio_net.ts";

/** The forms of {@link openDevice}, for messages. */
export const DEVICE_FORMS = "tap:NAME, virtio:auto, virtio:ADDRESS or qemu:PATH";

/**
 * Opens `tap:NAME`, `virtio:auto`, `virtio:0000:00:02.0` or `qemu:PATH`.
 *
 * @param text What a person wrote.
 * @returns The open device.
 * @throws {TypeError} It is of no known form.
 * @throws {Error} What the driver says is missing.
 */
// deno-lint-ignore require-await
export async function openDevice(text: string): Promise<Device> {
  const colon = text.indexOf(":");
  const rest = text.slice(colon + 1);
  if (colon > 0 && rest !== "") {
    switch (text.slice(0, colon)) {
      case "tap":
        return TapDevice.open({ name: rest });
      case "virtio":
        return VirtioNet.open(rest);
    }
  }
  throw new TypeError(`Unknown device "${text}": use ${DEVICE_FORMS}`);
}
