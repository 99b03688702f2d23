import assert from "node:assert/strict";
import { bottleneck, Flow } from "../testing/tcp_flow.ts";

/** Half of the default, in whole segments. */
const WHOLE = 65536 - 65536 % 1448;

Deno.test("The receive buffer starts at half of its default and grows with what is taken", () => {
  const flow = new Flow({ fate: (clock) => bottleneck(clock, 400e6, 1000) });
  assert.equal(flow.receiver.receiveLimit, WHOLE);
  flow.saturate(3_000_000);
  // 400 Mbit/s × 20 ms are 1 MB.
  assert(flow.receiver.receiveLimit >= 2 << 20, `${flow.receiver.receiveLimit}`);
  assert(flow.receiver.receiveLimit <= flow.receiver.receiveMost);
});

Deno.test("The receive buffer of a slow reader stays small", () => {
  const flow = new Flow({ fate: (clock) => bottleneck(clock, 400e6, 1000) });
  flow.server.appetite = 0;
  flow.receiver.handler = null;
  const chunk = new Uint8Array(1000);
  for (let i = 0; i < 100; i++) {
    flow.saturate(20_000);
    flow.receiver.read(chunk, 0, chunk.length);
  }
  assert.equal(flow.receiver.receiveLimit, WHOLE);
  assert(flow.receiver.readable <= 65536);
});

Deno.test("The window never moves back while the buffer grows", () => {
  const flow = new Flow({ fate: (clock) => bottleneck(clock, 100e6, 1000) });
  let edge = flow.receiver.rcvAdv;
  for (let i = 0; i < 1000; i++) {
    flow.saturate(1_000);
    assert((flow.receiver.rcvAdv - edge | 0) >= 0);
    edge = flow.receiver.rcvAdv;
  }
});

Deno.test("The whole window is offered at once without tuning", () => {
  const flow = new Flow({}, { receiveAutoTuning: false });
  assert.equal(flow.receiver.receiveLimit, flow.receiver.receiveMost);
});

Deno.test("The send buffer grows to two congestion windows", () => {
  const flow = new Flow({}, { sendDefault: 32768 });
  assert.equal(flow.sender.sendLimit, 32768);
  flow.saturate(1_000_000);
  assert(
    flow.sender.sendLimit >= 2 * flow.sender.cwnd * flow.sender.mss ||
      flow.sender.sendLimit === flow.sender.sendMost,
  );
  assert(flow.sender.sendLimit > 1 << 20, `${flow.sender.sendLimit}`);
});
