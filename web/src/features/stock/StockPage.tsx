/** Stock: what is kept ready, how it stands against its target, and what keeps it away. */
import { Button } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { useState } from "react";
import { stockRules } from "~/api/queries";
import type { StockRule } from "~/api/schema";
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

const FROM = "/frame/env/$env/stock";
/** More rules than this are a table, each with a page of its own: nobody scrolls through a hundred charts. */
const PANELS_MAX = 12;

export function StockPage() {
  const { env } = useParams({ from: FROM });
  const { rule: chosen } = useSearch({ from: FROM });
  const navigate = useNavigate({ from: "/env/$env/stock" });
  const mayNot = useMayNotPublish();
  const [adding, setAdding] = useState(false);
  const query = useQuery(stockRules(env));
  const many = chosen === undefined && (query.data?.items.length ?? 0) > PANELS_MAX;
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
            <RuleTable rules={shown} env={env} />
          ) : (
            shown.map((rule) => <Rule key={rule.name} env={env} rule={rule} />)
          );
        }}
      </Read>
      <Dialog opened={adding} onClose={() => setAdding(false)} title="A new stock rule" size="lg">
        <NewRule env={env} onDone={() => setAdding(false)} />
      </Dialog>
    </Page>
  );
}

function Rule({ env, rule }: { env: string; rule: StockRule }) {
  const { stock, window } = rule;
  const asked = stock.hits + stock.misses;
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
          <Level env={env} rule={rule} />
          <Facts
            of={[
              ["Contract", <ContractLink env={env} name={rule.contract} />],
              ["Input", <span className="mono">{shown(rule.input)}</span>],
              [
                "Served",
                asked === 0
                  ? "nobody has asked yet"
                  : `${Math.round((100 * stock.hits) / asked)} % of ${asked.toLocaleString()} from stock`,
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
