/** Pictures that go with words; alone they have a name of their own. */

const PATHS = {
  catalogue: "M4 5h16M4 12h16M4 19h10",
  mine: "M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8Zm-8 9c0-4 4-6 8-6s8 2 8 6",
  requests: "M5 12h13m-5-6 6 6-6 6",
  datasets: "M12 3 3 7.5 12 12l9-4.5L12 3ZM3 12l9 4.5 9-4.5M3 16.5 12 21l9-4.5",
  stock: "M4 20V10m5 10V4m5 16v-8m5 8V7",
  suppliers: "M12 15a3 3 0 1 0 0-6 3 3 0 0 0 0 6ZM12 3v3m0 12v3M3 12h3m12 0h3",
  quarantine: "M12 3 2.5 20h19L12 3Zm0 7v4m0 3v.01",
  landscape:
    "M6 8a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5Zm12 0a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5Zm-6 13a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5ZM7 8l4 8m6-8-4 8",
  scenarios: "M8 4 3 12l5 8m8-16 5 8-5 8",
  activity: "M3 12h4l3-8 4 16 3-8h4",
  settings: "M4 7h10m4 0h2M4 17h2m4 0h10M16 4v6M8 14v6",
  search: "M11 18a7 7 0 1 0 0-14 7 7 0 0 0 0 14Zm5-2 5 5",
  copy: "M9 9h11v11H9zM5 15H4V4h11v1",
  check: "m4 12 5 5L20 6",
  menu: "M4 6h16M4 12h16M4 18h16",
  sun: "M12 16a4 4 0 1 0 0-8 4 4 0 0 0 0 8Zm0-14v2m0 16v2M2 12h2m16 0h2M5 5l1.5 1.5m11 11L19 19M5 19l1.5-1.5m11-11L19 5",
  moon: "M20 14A8 8 0 1 1 10 4a6.5 6.5 0 0 0 10 10Z",
  eye: "M2 12s4-7 10-7 10 7 10 7-4 7-10 7S2 12 2 12Zm10 3a3 3 0 1 0 0-6 3 3 0 0 0 0 6Z",
  out: "M14 4h6v6m0-6L10 14M18 14v6H4V6h6",
  plus: "M12 5v14M5 12h14",
  down: "m6 9 6 6 6-6",
  up: "m6 15 6-6 6 6",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name, size = 16, label }: { name: IconName; size?: number; label?: string }) {
  const said = label === undefined ? { "aria-hidden": true } : { role: "img", "aria-label": label };
  return (
    <svg
      {...said}
      width={size}
      height={size}
      viewBox="0 0 24 24"
      fill="none"
      stroke="currentColor"
      strokeWidth={1.8}
      strokeLinecap="round"
      strokeLinejoin="round"
      focusable="false"
    >
      <path d={PATHS[name]} />
    </svg>
  );
}
