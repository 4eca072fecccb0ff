/** The palette: jump to any page, contract or id, or request anything, from the keyboard. */
import { Modal, TextInput } from "@mantine/core";
import { useInfiniteQuery } from "@tanstack/react-query";
import { useNavigate, type NavigateOptions } from "@tanstack/react-router";
import { useEffect, useId, useRef, useState } from "react";
import { contracts } from "~/api/queries";
import type { ContractEntry } from "~/api/schema";
import { Icon, type IconName } from "~/components/Icon";
import css from "./Palette.module.css";
import { PAGES } from "./pages";

/** More than a screen of choices is no choice. */
const CHOICES_MAX = 40;

interface Choice {
  id: string;
  name: string;
  says: string;
  icon: IconName;
  go: NavigateOptions;
}

interface PaletteProps {
  env: string | undefined;
  opened: boolean;
  onClose: () => void;
}

export function Palette({ env, opened, onClose }: PaletteProps) {
  return (
    <Modal
      opened={opened}
      onClose={onClose}
      withCloseButton={false}
      size="lg"
      yOffset="8vh"
      lockScroll={false}
      attributes={{ content: { "aria-label": "Find or request anything" } }}
    >
      {env !== undefined && <Finder env={env} onDone={onClose} />}
    </Modal>
  );
}

function Finder({ env, onDone }: { env: string; onDone: () => void }) {
  const [text, setText] = useState("");
  const [at, setAt] = useState(0);
  const list = useId();
  const chosen = useRef<HTMLDivElement>(null);
  const navigate = useNavigate();
  const known = useInfiniteQuery(contracts(env)).data?.pages.flatMap(({ items }) => items) ?? [];
  const choices = choicesOf(env, text, known);
  const current = Math.min(at, choices.length - 1);
  useEffect(() => {
    // Its answer, a promise in newer browsers, is not what React calls in the end.
    chosen.current?.scrollIntoView({ block: "nearest" });
  }, [current]);
  const take = (choice: Choice | undefined) => {
    if (choice === undefined) return;
    onDone();
    void navigate(choice.go);
  };
  return (
    <>
      <TextInput
        data-autofocus
        role="combobox"
        aria-expanded
        aria-controls={list}
        aria-activedescendant={choices[current] === undefined ? undefined : `${list}-${current}`}
        aria-label="Find or request anything"
        placeholder="A page, a contract, an id, or kind:key of an entity"
        value={text}
        onChange={(event) => {
          setText(event.currentTarget.value);
          setAt(0);
        }}
        onKeyDown={(event) => {
          const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
          if (step !== 0) {
            event.preventDefault();
            setAt((current + step + choices.length) % Math.max(choices.length, 1));
          }
          if (event.key === "Enter") take(choices[current]);
        }}
      />
      <div id={list} role="listbox" aria-label="Choices" className={css["list"]}>
        {choices.map((choice, index) => (
          <div
            key={choice.id}
            id={`${list}-${index}`}
            ref={index === current ? chosen : undefined}
            role="option"
            aria-selected={index === current}
            className={css["choice"]}
            onMouseMove={() => setAt(index)}
            onClick={() => take(choice)}
          >
            <Icon name={choice.icon} />
            <span className={css["name"]}>{choice.name}</span>
            <span>{choice.says}</span>
          </div>
        ))}
      </div>
      {choices.length === 0 && <p className="dim">Nothing here has that name.</p>}
    </>
  );
}

/** What fits the text: ids and entities as they are, then pages and contracts that have all of its words. */
export function choicesOf(env: string, text: string, known: ContractEntry[]): Choice[] {
  const wanted = text.trim();
  const words = wanted.toLowerCase().split(/\s+/).filter(Boolean);
  const fits = (...texts: string[]) => words.every((word) => texts.join(" ").toLowerCase().includes(word));
  const pages = PAGES.filter((page) => fits(page.name, page.says)).map((page): Choice => ({
    id: page.to,
    name: page.name,
    says: page.says,
    icon: page.icon,
    go: { to: page.to, params: { env } },
  }));
  const found = known
    .filter((entry) => fits(entry.name, entry.description, entry.owner.team, "request"))
    .flatMap((entry): Choice[] => {
      const [domain = "", name = ""] = entry.name.split("/");
      const go = { to: "/env/$env/contracts/$domain/$name", params: { env, domain, name } } as const;
      const contract: Choice = { id: entry.name, name: entry.name, says: entry.owner.team, icon: "catalogue", go };
      const request: Choice = {
        id: `request ${entry.name}`,
        name: `Request ${entry.name}`,
        says: entry.status,
        icon: "requests",
        go: { ...go, search: { tab: "request" } },
      };
      return words.includes("request") ? [request] : [contract, request];
    });
  const direct = directly(env, wanted);
  const all = words.length === 0 ? [...pages, ...found] : [...direct, ...found, ...pages];
  return all.slice(0, CHOICES_MAX);
}

function directly(env: string, text: string): Choice[] {
  const [, kind] = /^(req|lease|ds)_[a-z0-9_]+$/.exec(text) ?? [];
  const params = { env, id: text };
  const choice = (says: string, icon: IconName, go: NavigateOptions): Choice[] => [
    { id: text, name: text, says, icon, go },
  ];
  if (kind === "req") return choice("request", "requests", { to: "/env/$env/requests/$id", params });
  if (kind === "lease") return choice("lease", "mine", { to: "/env/$env/leases/$id", params });
  if (kind === "ds") return choice("dataset", "datasets", { to: "/env/$env/datasets/$id", params });
  if (/^[a-z][\w.-]*:\S+$/.test(text)) {
    return choice("datasets with this entity", "datasets", {
      to: "/env/$env/datasets",
      params: { env },
      search: { entity: text },
    });
  }
  return [];
}
