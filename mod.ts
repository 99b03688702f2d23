/**
 * A TCP/IP stack in one Deno process: the public API at a glance.
 *
 * `Network` is where to begin. One level down, `network.stack` offers callbacks at every layer, without copies; what
 * it consists of is in `./stack`, and the devices are in `./drivers`.
 *
 * @module
 */

export * from "./net/mod.ts";
