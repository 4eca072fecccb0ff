/** Scenarios: written, checked as they are written, and applied. */
import { Button } from "@mantine/core";
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { Link, useParams, useSearch } from "@tanstack/react-router";
import { useMemo } from "react";
import { asProblem } from "~/api/problem";
import { contracts, scenarioSource } from "~/api/queries";
import { Page, Panel } from "~/components/Panel";
import { ProblemView } from "~/components/Problem";
import { Empty, Loading } from "~/components/States";
import { Status } from "~/components/Status";
import { Workbench } from "./Workbench";
import css from "./ScenariosPage.module.css";

const FROM = "/frame/env/$env/scenarios";

/** What the address says for one that does not exist yet. */
export const NEW = "new";

const BEGINNING = `scenario: checkout/my-scenario
owner: { team: Checkout, contact: checkout@example.test }
description: What state this is, for whoever looks for it.
input:
  type: object
  properties:
    country: { type: string, enum: [CZ, FR, DE], default: FR }
steps:
  # customer: { uses: customer/active-customer, with: { country: "\${{ input.country }}" } }
output:
  # customer_id: "\${{ steps.customer.customer_id }}"
`;

export function ScenariosPage() {
  const { env } = useParams({ from: FROM });
  const { open } = useSearch({ from: FROM });
  return (
    <Page
      title="Scenarios"
      name={`Scenarios of ${env}`}
      actions={
        <Link to="/env/$env/scenarios" params={{ env }} search={{ open: NEW }}>
          <Button size="compact-sm" component="span">
            New scenario
          </Button>
        </Link>
      }
    >
      <div className={css["page"]}>
        <List env={env} open={open} />
        <div>
          {open === undefined ? (
            <Empty title="Choose a scenario, or begin a new one">
              What you write is checked as you write it, and applied when you say so.
            </Empty>
          ) : (
            <Open key={open} env={env} name={open} />
          )}
        </div>
      </div>
    </Page>
  );
}

function List({ env, open }: { env: string; open: string | undefined }) {
  const query = useInfiniteQuery(contracts(env));
  const scenarios = useMemo(
    () => query.data?.pages.flatMap(({ items }) => items).filter(({ kind }) => kind === "scenario"),
    [query.data],
  );
  return (
    <Panel title="In this environment">
      {scenarios === undefined ? (
        query.isError ? (
          <ProblemView error={query.error} retry={query.refetch} />
        ) : (
          <Loading rows={4} />
        )
      ) : scenarios.length === 0 ? (
        <p className="dim">None is applied yet.</p>
      ) : (
        <ul className="stack" style={{ gap: 6 }}>
          {scenarios.map(({ name, status }) => (
            <li key={name} className="row between" style={{ flexWrap: "nowrap" }}>
              <Link
                to="/env/$env/scenarios"
                params={{ env }}
                search={{ open: name }}
                data-row-link=""
                aria-current={open === name}
              >
                {name}
              </Link>
              <Status word={status} />
            </li>
          ))}
        </ul>
      )}
    </Panel>
  );
}

function Open({ env, name }: { env: string; name: string }) {
  const source = useQuery({ ...scenarioSource(env, name), enabled: name !== NEW, staleTime: Infinity });
  if (name === NEW) return <Workbench env={env} begun={{ text: BEGINNING, etag: '"0"' }} />;
  if (source.data !== undefined) return <Workbench env={env} begun={source.data} />;
  return source.isError ? <ProblemView error={asProblem(source.error)} retry={source.refetch} /> : <Loading />;
}
