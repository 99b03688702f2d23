/**
 * The chart of the README: each figure as a multiple of the kernel's in the same run.
 *
 * @module
 */

/** One bar or two: a figure of ours as a multiple of the kernel's; more is better. */
export interface Bar {
  readonly title: string;
  /** By callbacks; NaN when that was not measured. */
  readonly callbacks: number;
  /** By connections; NaN when that was not measured. */
  readonly connections: number;
}

/** Pixels. */
const WIDTH = 900, ROW = 44, MARGIN = 90;

/**
 * Draws the chart.
 * @param bars From top to bottom. @param caption What the figures depend on, in one line. @returns An SVG document.
 */
export async function drawChart(bars: readonly Bar[], caption: string): Promise<string> {
  // Loaded here: it is large, and nothing else of the project needs it.
  const echarts = await import("echarts");
  const height = bars.length * ROW + MARGIN;
  const chart = echarts.init(null, null, { renderer: "svg", ssr: true, width: WIDTH, height });
  const series = (name: string, color: string, values: number[]) => ({
    name,
    type: "bar" as const,
    data: values.map((value) => Number.isFinite(value) ? Number(value.toFixed(2)) : null),
    label: { show: true, position: "right" as const, formatter: "{c} ×" },
    itemStyle: { color },
    barGap: "10%",
    barCategoryGap: "30%",
  });
  try {
    chart.setOption({
      animation: false,
      backgroundColor: "#ffffff",
      title: { text: "Multiple of Deno on the kernel's stack, same run", subtext: caption, left: 10, top: 5 },
      legend: { right: 10, top: 10 },
      grid: { left: 10, right: 60, top: 70, bottom: 10, containLabel: true },
      xAxis: { type: "value", min: 0, splitNumber: 6 },
      yAxis: { type: "category", data: bars.map((bar) => bar.title), inverse: true },
      series: [
        {
          ...series("callbacks", "#1f6f8b", bars.map((bar) => bar.callbacks)),
          markLine: {
            symbol: "none",
            silent: true,
            label: { show: false },
            lineStyle: { color: "#b00020", type: "solid" },
            data: [{ xAxis: 1 }],
          },
        },
        series("connections", "#99a8b2", bars.map((bar) => bar.connections)),
      ],
    });
    return chart.renderToSVGString() + "\n";
  } finally {
    chart.dispose();
  }
}
