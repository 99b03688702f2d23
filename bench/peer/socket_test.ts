import assert from "node:assert/strict";
import { Socket } from "./socket.ts";

Deno.test("Socket.wait() tells that a connection was refused, without errno", () => {
  // Nobody listens on a port that was just given back.
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  const accepted = Socket.start(Socket.address("127.0.0.1", port));
  accepted.wait("writable");
  accepted.resetOnClose();
  accepted[Symbol.dispose]();
  listener.close();
  using refused = Socket.start(Socket.address("127.0.0.1", port));
  assert.throws(() => refused.wait("writable"), /writable: the connection failed with error 111$/);
});

Deno.test("Socket.wait() tells that a connection could not be begun", () => {
  // A group is no peer of TCP.
  using socket = Socket.start(Socket.address("224.0.0.1", 7));
  assert.throws(() => socket.wait("writable"), /writable: the connection failed/);
});
