import { Network } from "/work/wt/me/net/network.ts";
const network = await Network.open({ device: "tap:g0", addresses: ["10.70.3.2/24"] });
const headers = { "content-type": "text/plain" };
network.serve({ port: 80, onListen: () => {} }, () => new Response("Hello, World!", { headers }));
console.log("ready");
setTimeout(() => {
  Deno.exit(0);
}, 8000);
