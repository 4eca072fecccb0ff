/** What is ready of one contract, by stock rule. */
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { stockRules } from "~/api/queries";
import type { Contract } from "~/api/schema";
import { Panel, SmallTable } from "~/components/Panel";
import { Read } from "~/components/States";
import { Status } from "~/components/Status";
import { shown } from "~/lib/exact";

export function StockOfContract({ env, contract }: { env: string; contract: Contract }) {
  const query = useQuery(stockRules(env));
  return (
    <Panel title="In stock">
      <Read query={query} rows={2}>
        {({ items }) => {
          const rules = items.filter((rule) => rule.contract === contract.name);
          if (rules.length === 0) {
            return <p className="dim">No stock rule keeps it ready: each request has it made. {imported(contract)}</p>;
          }
          return (
            <SmallTable label="Stock rules" head={["Rule", "Input", "Ready", "Served from stock", "State"]}>
              {rules.map((rule) => {
                const { ready, hits, misses, starved, doubted } = rule.stock;
                return (
                  <tr key={rule.name}>
                    <td>
                      <Link to="/env/$env/stock" params={{ env }} search={{ rule: rule.name }}>
                        {rule.name}
                      </Link>
                    </td>
                    <td className="mono">{shown(rule.input)}</td>
                    <td className="nowrap">
                      {ready} <span className="dim">of {rule.target}</span>
                    </td>
                    <td>
                      {hits + misses === 0 ? (
                        <span className="dim">not asked yet</span>
                      ) : (
                        `${Math.round((100 * hits) / (hits + misses))} % of ${hits + misses}`
                      )}
                    </td>
                    <td>
                      <Status
                        word={doubted !== undefined || starved !== undefined ? "suspect" : rule.state}
                        title={doubted?.message ?? starved?.message}
                      />
                    </td>
                  </tr>
                );
              })}
            </SmallTable>
          );
        }}
      </Read>
    </Panel>
  );
}

function imported(contract: Contract): string {
  const ready = contract.imported?.ready ?? 0;
  return ready > 0 ? `${ready.toLocaleString()} imported datasets are ready.` : "";
}
