/**
 * Our contender: `contender_ethox.ts --device DEVICE --address CIDR [--plain] [--direct]`, on the host and in a guest.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { openDevice } from "../drivers/open.ts";
import { Network } from "../net/network.ts";
import { startDatagrams } from "./datagrams_callbacks.ts";
import { startServices } from "./services.ts";
import { startCallbackServices } from "./services_callbacks.ts";

const { values } = parseArgs({
  options: {
    device: { type: "string", default: "" },
    address: { type: "string", multiple: true, default: [] },
    gateway: { type: "string" },
    plain: { type: "boolean", default: false },
    direct: { type: "boolean", default: false },
  },
});
const device = await openDevice(values.device, {
  offloads: values.plain ? "none" : "all",
  ...values.direct && { delivery: "direct" },
});
const network = await Network.open({ device, addresses: values.address });
startServices({
  listen({ port }) {
    const listener = network.listen({ port });
    return (async function* () {
      for await (const connection of listener) {
        connection.setNoDelay(true);
        yield connection;
      }
    })();
  },
  serve: ({ port }, handler) => network.serve({ port, onListen: () => {} }, handler),
});
startCallbackServices(network.stack);
startDatagrams(network.stack);
console.log("ready");
