/** A small line of levels over time. */
import { useEffect, useRef } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import type { Point } from "./levels";

const HEIGHT_PX = 60;

export default function Spark({ points, label, caption }: { points: Point[]; label: string; caption: string }) {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>(undefined);
  useEffect(() => {
    const holder = place.current;
    if (holder === null) return;
    const colour = (name: string) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
    const made = new uPlot(
      {
        width: Math.max(120, holder.clientWidth),
        height: HEIGHT_PX,
        legend: { show: false },
        cursor: { show: false },
        axes: [{ show: false }, { show: false }],
        scales: { y: { range: (_, __, max) => [0, Math.max(1, max)] } },
        series: [
          {},
          {
            label: "ready",
            stroke: colour("--sp-accent"),
            width: 2,
            fill: colour("--sp-accent-soft"),
            paths: uPlot.paths.stepped?.({ align: 1 }),
            points: { show: false },
          },
          {
            label: "target",
            stroke: colour("--sp-dim"),
            dash: [4, 4],
            width: 1,
            paths: uPlot.paths.stepped?.({ align: 1 }),
            points: { show: false },
          },
        ],
      },
      [[], [], []],
      holder,
    );
    plot.current = made;
    const fit = new ResizeObserver(() => made.setSize({ width: Math.max(120, holder.clientWidth), height: HEIGHT_PX }));
    fit.observe(holder);
    return () => {
      fit.disconnect();
      made.destroy();
    };
  }, []);
  useEffect(() => {
    const newest = points.at(-1);
    // A level lasts until the next one: a single one is a line already.
    const all = newest === undefined ? [] : [...points, { ...newest, at: newest.at + 1000 }];
    plot.current?.setData([
      all.map(({ at }) => at / 1000),
      all.map(({ ready }) => ready),
      all.map(({ target }) => target),
    ]);
  }, [points]);
  return (
    <figure>
      <div ref={place} role="img" aria-label={label} style={{ height: HEIGHT_PX }} />
      <figcaption className="dim" style={{ fontSize: 12 }}>
        {caption}
      </figcaption>
    </figure>
  );
}
