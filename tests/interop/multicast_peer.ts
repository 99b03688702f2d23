/**
 * `multicast_peer.ts ADDRESS INDEX GROUP4 GROUP6`: the kernel's side of `multicast_host.ts`: says hello to both groups, prints
 * what comes back, and tells the host to leave.
 *
 * @module
 */

const [address = "", index = "0", group4 = "", group6 = ""] = Deno.args;
for (const group of [group4, group6]) {
  const hostname = group.includes(":") ? "::" : "0.0.0.0";
  const conn = Deno.listenDatagram({ transport: "udp", port: 7778, hostname, reuseAddress: true });
  if (group.includes(":")) await conn.joinMulticastV6(group, Number(index));
  else await conn.joinMulticastV4(group, address);
  const to = { transport: "udp", hostname: group, port: 7777 } as const;
  const answer = (async () => {
    for await (const [data] of conn) {
      const text = new TextDecoder().decode(data);
      if (text.endsWith(" back")) return text;
    }
    return "nothing";
  })();
  // The first may come before both have joined, or before the kernel's address is sure to be its own.
  const hello = () => void conn.send(new TextEncoder().encode("hello"), to).catch(() => {});
  const again = setInterval(hello, 200);
  console.log(await answer, group);
  clearInterval(again);
  if (group === group6) await conn.send(new TextEncoder().encode("leave"), to);
  conn.close();
}
