/**
 * Our contender: `contender_ethox.ts DEVICE CIDR`.
 *
 * @module
 */

import { Network } from "../net/network.ts";
import { startServices } from "./services.ts";
import { startCallbackServices } from "./services_callbacks.ts";

const [device = "", address = ""] = Deno.args;
const network = await Network.open({ device, addresses: [address] });
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
console.log("ready");
