/**
 * How simulated hosts do TCP, drawn by chance.
 *
 * @module
 */

import type { CongestionName, TcpSettings } from "../../stack/tcp/settings.ts";
import type { Random } from "./random.ts";

/** Draws how a host does TCP: mostly as usual. */
export function drawSettings(random: Random): Partial<TcpSettings> {
  const settings: Partial<TcpSettings> = {
    congestion: random.pick<CongestionName>(["cubic", "cubic", "reno", "bbr"]),
    pacing: random.chance(0.2),
  };
  if (random.chance(0.2)) settings.mtuProbing = 2;
  if (random.chance(0.25)) {
    settings.ecn = random.pick([3, 3, 3, 4, 5]);
    settings.ecnOption = random.pick([0, 1, 2, 2]);
  }
  if (random.chance(0.05)) settings.sack = false;
  if (random.chance(0.05)) settings.duplicateSack = false;
  if (random.chance(0.05)) settings.timestamps = false;
  if (random.chance(0.05)) settings.windowScaling = false;
  if (random.chance(0.05)) settings.tailLossProbe = false;
  if (random.chance(0.1)) settings.initialWindow = random.between(1, 40);
  if (random.chance(0.1)) settings.reordering = random.between(1, 20);
  if (random.chance(0.1)) settings.receiveDefault = random.scaled(20_000, 1 << 20);
  return settings;
}
