/** Many stock rules at a glance, those that need somebody first. */
import { TextInput } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { useMemo, useState } from "react";
import type { StockHistory, StockRule } from "~/api/schema";
import { RowTable, type Column } from "~/components/DataTable";
import { Empty } from "~/components/States";
import { Pill, Status } from "~/components/Status";
import { Time } from "~/components/Time";
import { ContractLink } from "~/components/links";
import { shown } from "~/lib/exact";
import { MiniSpark } from "./MiniSpark";
import { refillsInWords } from "./levels";

type HistoryOf = (name: string) => StockHistory | undefined;

export function RuleTable({ env, rules, historyOf }: { env: string; rules: StockRule[]; historyOf: HistoryOf }) {
  const [text, setText] = useState("");
  const columns = useMemo(() => columnsOf(env, historyOf), [env, historyOf]);
  const rows = useMemo(() => {
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    const fits = (rule: StockRule) => {
      const told = `${rule.name} ${rule.contract} ${shown(rule.input)} ${rule.state} ${need(rule)}`.toLowerCase();
      return words.every((word) => told.includes(word));
    };
    return rules.filter(fits).sort((a, b) => urgency(b) - urgency(a) || a.name.localeCompare(b.name));
  }, [rules, text]);
  return (
    <>
      <TextInput
        data-search
        maw={420}
        aria-label="Search the rules"
        placeholder="Name, contract, input, state, or what is wrong"
        value={text}
        onChange={(event) => setText(event.currentTarget.value)}
      />
      <RowTable
        label="Stock rules"
        columns={columns}
        rows={rows}
        id={({ name }) => name}
        empty={<Empty title="Nothing fits" />}
      />
    </>
  );
}

/** What somebody may have to do something about. */
function need({ state, target, stock, faults }: StockRule): string {
  if (faults.length > 0) return "does not fit";
  if (stock.doubted !== undefined) return "doubted";
  // What rests or is drained is not to be filled.
  if (state !== "active") return "";
  if (stock.starved !== undefined) return "starved";
  return stock.ready < target ? "filling" : "";
}

const URGENCY = ["", "filling", "starved", "doubted", "does not fit"];

const urgency = (rule: StockRule) => URGENCY.indexOf(need(rule));

function columnsOf(env: string, historyOf: HistoryOf): Column<StockRule>[] {
  return [
    {
      head: "Rule",
      cell: ({ name }) => (
        <Link to="/env/$env/stock" params={{ env }} search={{ rule: name }} data-row-link="">
          {name}
        </Link>
      ),
    },
    { head: "State", cell: ({ state }) => <Status word={state} /> },
    {
      head: "Ready",
      end: true,
      cell: ({ stock, target }) => (
        <span title={`${stock.ready} ready of ${target}, ${stock.coming} coming`}>
          {stock.ready.toLocaleString()} <span className="dim">/ {target.toLocaleString()}</span>
        </span>
      ),
    },
    {
      head: "Last day",
      from: "medium",
      cell: ({ name }) => <MiniSpark name={name} history={historyOf(name)} />,
    },
    {
      head: "What keeps it away",
      fill: true,
      cell: (rule) => {
        const what = need(rule);
        const why = rule.stock.doubted?.message ?? rule.stock.starved?.message ?? rule.faults[0]?.message;
        return (
          what !== "" && (
            <span title={why}>
              <Pill tone={what === "filling" ? "busy" : "warn"}>{what}</Pill> <span className="dim">{why}</span>
            </span>
          )
        );
      },
    },
    { head: "Contract", from: "medium", cell: ({ contract }) => <ContractLink env={env} name={contract} /> },
    { head: "Input", from: "huge", cell: ({ input }) => <span className="mono dim">{shown(input)}</span> },
    {
      head: "From stock",
      end: true,
      from: "wide",
      cell: ({ stock: { hits, misses } }) =>
        hits + misses > 0 && (
          <span title={`${hits} of ${hits + misses} that were asked for`}>
            {Math.round((100 * hits) / (hits + misses))} %
          </span>
        ),
    },
    {
      head: "Refills",
      end: true,
      from: "huge",
      cell: ({ stock: { coming, made, failed } }) => (
        <span title={`${refillsInWords({ made, failed })}, ${coming} coming`}>
          {made.toLocaleString()}
          {failed > 0 && <span className="dim"> · {failed.toLocaleString()} failed</span>}
        </span>
      ),
    },
    {
      head: "Oldest",
      end: true,
      from: "wide",
      cell: ({ stock }) => stock.oldest_at !== undefined && <Time at={stock.oldest_at} />,
    },
  ];
}
