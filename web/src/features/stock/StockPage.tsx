/** Stock: what is kept ready, how it stands against its target, and what keeps it away. */
import { Button } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { useCallback, useState } from "react";
import { stockHistory, stockHistoryOf, stockRules } from "~/api/queries";
import type { StockHistory, StockRule } from "~/api/schema";
import { Dialog } from "~/components/Dialog";
import { OwnerLine } from "~/components/Owner";
import { Facts, Page, Panel } from "~/components/Panel";
import { Empty, Read } from "~/components/States";
import { Pill, Status } from "~/components/Status";
import { Time } from "~/components/Time";
import { useMayNotPublish } from "~/components/role";
import { ContractLink } from "~/components/links";
import { shown } from "~/lib/exact";
import { span } from "~/lib/times";
import { Level } from "./Level";
import { NewRule } from "./NewRule";
import { RuleActions } from "./RuleActions";
import { RuleTable } from "./RuleTable";
import { refillsInWords, servedInWords, toldOf } from "./levels";

const FROM = "/frame/env/$env/stock";
/** More rules than this are a table, each with a page of its own: nobody scrolls through a hundred charts. */
const PANELS_MAX = 12;
/** Half hours in the cells of a table, and what is noted in a panel. */
const POINTS = { table: 48, panel: 288 };

export function StockPage() {
  const { env } = useParams({ from: FROM });
  const { rule: chosen } = useSearch({ from: FROM });
  const navigate = useNavigate({ from: "/env/$env/stock" });
  const mayNot = useMayNotPublish();
  const [adding, setAdding] = useState(false);
  const query = useQuery(stockRules(env));
  const many = chosen === undefined && (query.data?.items.length ?? 0) > PANELS_MAX;
  const histories = useHistories(env, chosen, query.isSuccess, many ? POINTS.table : POINTS.panel);
  return (
    <Page
      title="Stock"
      name={`Stock of ${env}`}
      full={many}
      actions={
        <>
          {chosen !== undefined && (
            <Button size="compact-sm" variant="default" onClick={() => void navigate({ search: {} })}>
              All rules
            </Button>
          )}
          <Button size="compact-sm" disabled={mayNot !== undefined} title={mayNot} onClick={() => setAdding(true)}>
            New rule
          </Button>
        </>
      }
    >
      <Read query={query}>
        {({ items }) => {
          const shown = chosen === undefined ? items : items.filter(({ name }) => name === chosen);
          if (shown.length === 0) {
            return (
              <Empty title={chosen === undefined ? "Nothing is kept ready" : `There is no rule ${chosen}`}>
                <p>A rule keeps datasets of one contract and input ready, so that requests get them at once.</p>
              </Empty>
            );
          }
          return many ? (
            <RuleTable rules={shown} env={env} historyOf={histories.of} />
          ) : (
            shown.map((rule) => (
              <Rule key={rule.name} env={env} rule={rule} history={histories.of(rule.name)} unread={histories.unread} />
            ))
          );
        }}
      </Read>
      <Dialog opened={adding} onClose={() => setAdding(false)} title="A new stock rule" size="lg">
        <NewRule env={env} onDone={() => setAdding(false)} />
      </Dialog>
    </Page>
  );
}

/** What the rules that are shown had: of all of them by one call, or of the one that was chosen. */
function useHistories(env: string, chosen: string | undefined, enabled: boolean, points: number) {
  const all = useQuery({ ...stockHistory(env, points), enabled: enabled && chosen === undefined });
  const one = useQuery({ ...stockHistoryOf(env, chosen ?? ""), enabled: enabled && chosen !== undefined });
  const [listed, single] = [all.data, one.data];
  const of = useCallback(
    (name: string) => (chosen === undefined ? listed?.get(name) : single),
    [chosen, listed, single],
  );
  return { of, unread: (chosen === undefined ? all : one).isError };
}

function Rule({
  env,
  rule,
  history,
  unread,
}: {
  env: string;
  rule: StockRule;
  history: StockHistory | undefined;
  unread: boolean;
}) {
  const { stock, window } = rule;
  const told = toldOf(history);
  return (
    <Panel
      title={
        <span className="row">
          {rule.name} <Status word={rule.state} />
          {window !== undefined && !window.is_open && <Pill tone="calm">closed for now</Pill>}
        </span>
      }
      actions={<RuleActions env={env} rule={rule} />}
    >
      <div className="stack">
        <Trouble rule={rule} />
        <div className="columns">
          <Level env={env} rule={rule} history={history} unread={unread} />
          <Facts
            of={[
              ["Contract", <ContractLink env={env} name={rule.contract} />],
              ["Input", <span className="mono">{shown(rule.input)}</span>],
              ["Served", servedInWords(stock)],
              ["Refills", refillsInWords(stock)],
              [
                told === undefined ? "Lately" : `Last ${span(told.ms)}`,
                told !== undefined && `${servedInWords(told)}; refills: ${refillsInWords(told)}`,
              ],
              ["Oldest", stock.oldest_at !== undefined && <Time at={stock.oldest_at} />],
              ["Imported", stock.imported || undefined],
              ["Came back", stock.came_back || undefined],
              ["At most", rule.max_age_s !== undefined && `${span(rule.max_age_s * 1000)} old`],
              ["Checked", rule.check_every_s !== undefined && `every ${span(rule.check_every_s * 1000)}`],
              ["Priority", rule.priority],
              [
                "Window",
                window !== undefined && `${window.opens} for ${span(window.for_s * 1000)}, ${window.time_zone}`,
              ],
              ["Opens", window?.next_opening_at !== undefined && <Time at={window.next_opening_at} />],
            ]}
          />
        </div>
      </div>
    </Panel>
  );
}

/** Why a rule is not at its target, or hands nothing out. */
function Trouble({ rule }: { rule: StockRule }) {
  const { starved, doubted } = rule.stock;
  return (
    <>
      {starved !== undefined && (
        <p role="status">
          <Pill tone="warn">starved</Pill> {starved.message} · <OwnerLine owner={starved.owner} />
          {starved.retry_at !== undefined && (
            <span className="dim">
              {" "}
              · tried again <Time at={starved.retry_at} />
            </span>
          )}
        </p>
      )}
      {doubted !== undefined && (
        <p role="status">
          <Pill tone="bad">doubted</Pill> {doubted.message} · <OwnerLine owner={doubted.owner} />
        </p>
      )}
      {[...rule.faults, ...(rule.warnings ?? [])].map((fault) => (
        <p key={`${fault.pointer}${fault.code}`}>
          <Pill tone="bad">{fault.code}</Pill> <code>{fault.pointer}</code> {fault.message}
        </p>
      ))}
    </>
  );
}
