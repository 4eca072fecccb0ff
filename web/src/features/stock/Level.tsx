/** A rule's level against its target, and how it moved while somebody looked. */
import { Progress } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Suspense, lazy } from "react";
import { stockRules } from "~/api/queries";
import type { StockRule } from "~/api/schema";
import { counted } from "~/lib/words";
import { useLevels } from "./levels";

const Spark = lazy(() => import("./Spark"));

export function Level({ env, rule }: { env: string; rule: StockRule }) {
  const { dataUpdatedAt } = useQuery(stockRules(env));
  const levels = useLevels(env, rule, dataUpdatedAt);
  const { ready, coming } = rule.stock;
  const share = Math.min(100, (100 * ready) / rule.target);
  return (
    <div className="stack" style={{ gap: 6 }}>
      <p>
        <strong style={{ fontSize: 22 }}>{ready.toLocaleString()}</strong>{" "}
        <span className="dim">ready of {rule.target.toLocaleString()}</span>
        {coming > 0 && <span className="dim"> · {counted(coming, "dataset")} coming</span>}
      </p>
      <Progress.Root size="lg">
        <Progress.Section
          value={share}
          color={ready >= rule.target ? "green" : "blue"}
          aria-label={`${ready} ready of ${rule.target}`}
        />
        <Progress.Section
          value={Math.min(100 - share, (100 * coming) / rule.target)}
          color="gray"
          aria-label={`${coming} coming`}
        />
      </Progress.Root>
      <Suspense fallback={<div style={{ height: 60 }} />}>
        <Spark levels={levels} label={`Level of ${rule.name} since this page was opened`} />
      </Suspense>
    </div>
  );
}
