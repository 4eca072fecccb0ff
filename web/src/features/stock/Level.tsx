/** A rule's level against its target, and how it moved over the last day and while somebody looked. */
import { Progress } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Suspense, lazy, useMemo } from "react";
import { stockRules } from "~/api/queries";
import type { StockHistory, StockRule } from "~/api/schema";
import { useNow } from "~/components/now";
import { counted } from "~/lib/words";
import { inWords, pointsOf, toldOf, useLevels } from "./levels";

const Spark = lazy(() => import("./Spark"));

export function Level({
  env,
  rule,
  history,
  unread,
}: {
  env: string;
  rule: StockRule;
  history: StockHistory | undefined;
  /** Whether the history could not be read. */
  unread: boolean;
}) {
  const now = useNow();
  const { dataUpdatedAt } = useQuery(stockRules(env));
  const levels = useLevels(env, rule, dataUpdatedAt);
  const points = useMemo(() => pointsOf(history, levels), [history, levels]);
  const told = toldOf(history, levels);
  const { ready, coming } = rule.stock;
  const words = inWords(told, now);
  const open = "since this page was opened; ";
  const caption = unread
    ? `${open}what was before cannot be read now`
    : told === undefined
      ? `${open}what was before ${history === undefined ? "is being read" : "was not noted yet"}`
      : words;
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
        <Spark
          points={points}
          label={`Level of ${rule.name}: ${ready} of ${rule.target} now; ${told === undefined ? caption : words}`}
          caption={caption}
        />
      </Suspense>
    </div>
  );
}
