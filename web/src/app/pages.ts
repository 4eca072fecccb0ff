/** The pages of an environment: what they are called, where they are, and the key that leads there. */
import type { IconName } from "~/components/Icon";

export const PAGES = [
  { to: "/env/$env/contracts", name: "Catalogue", icon: "catalogue", key: "c", says: "what can be requested" },
  { to: "/env/$env/mine", name: "My data", icon: "mine", key: "m", says: "what I hold and wait for" },
  { to: "/env/$env/requests", name: "Requests", icon: "requests", key: "r", says: "everybody's requests" },
  { to: "/env/$env/datasets", name: "Datasets", icon: "datasets", key: "d", says: "by contract, state or entity" },
  { to: "/env/$env/stock", name: "Stock", icon: "stock", key: "s", says: "what is kept ready" },
  { to: "/env/$env/suppliers", name: "Suppliers", icon: "suppliers", key: "u", says: "who is connected" },
  { to: "/env/$env/landscape", name: "Landscape", icon: "landscape", key: "l", says: "what depends on what" },
  { to: "/env/$env/quarantine", name: "Quarantine", icon: "quarantine", key: "q", says: "what drifted, and debts" },
  { to: "/env/$env/scenarios", name: "Scenarios", icon: "scenarios", key: "e", says: "written and checked here" },
  { to: "/env/$env/activity", name: "Activity", icon: "activity", key: "a", says: "what happens" },
] as const satisfies readonly { to: string; name: string; icon: IconName; key: string; says: string }[];
