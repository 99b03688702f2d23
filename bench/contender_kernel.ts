/**
 * The peer that we are compared with: `Deno.listen` and `Deno.serve` on the kernel's stack.
 *
 * @module
 */

import { startServices } from "./services.ts";

startServices({
  listen({ port }) {
    const listener = Deno.listen({ hostname: "::", port });
    return (async function* () {
      for await (const connection of listener) {
        connection.setNoDelay(true);
        yield connection;
      }
    })();
  },
  serve: ({ port }, handler) => Deno.serve({ port, onListen: () => {} }, handler),
});
console.log("ready");
