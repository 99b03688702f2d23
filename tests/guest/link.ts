/** Runs in a guest: prints whether the virtio device has a link, each time the device wakes it; ends after two changes. */

import { VirtioNet } from "../../drivers/virtio_net.ts";

const device = VirtioNet.open("auto");
const said = [device.linkUp];
console.log(`link ${device.linkUp}`);

function look(): void {
  device.poll({ receive() {} }, 64, 0);
  if (device.linkUp !== said.at(-1)) {
    said.push(device.linkUp);
    console.log(`link ${device.linkUp}`);
  }
  if (said.length === 3) return device.close();
  if (!device.arm(look)) setImmediate(look);
}

look();
