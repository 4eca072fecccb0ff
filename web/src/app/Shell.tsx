/** The frame of every page: header with the environment, navigation, the state of the connection, and the keys. */
import {
  ActionIcon,
  Button,
  Drawer,
  Kbd,
  Menu,
  NativeSelect,
  useComputedColorScheme,
  useMantineColorScheme,
} from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link, Outlet, useNavigate, useParams } from "@tanstack/react-router";
import { useEffect, useRef, useState } from "react";
import { api } from "~/api/client";
import { environments, signIn } from "~/api/queries";
import { Icon } from "~/components/Icon";
import { Time } from "~/components/Time";
import { lastEnvironment, rememberEnvironment } from "~/lib/env";
import { KeySheet } from "./KeySheet";
import { Palette } from "./Palette";
import css from "./Shell.module.css";
import { useKeys } from "./keys";
import { useLive, type Connection } from "./live";
import { PAGES } from "./pages";

export function Shell() {
  // Pages outside of an environment keep the one that was looked at last.
  const { env = lastEnvironment() } = useParams({ strict: false });
  const [palette, setPalette] = useState(false);
  const [sheet, setSheet] = useState(false);
  const [menu, setMenu] = useState(false);
  const main = useRef<HTMLElement>(null);
  const connection = useLive(env);
  useKeys({ env, onPalette: () => setPalette(true), onSheet: () => setSheet(true) });
  useEffect(() => {
    if (env !== undefined) rememberEnvironment(env);
  }, [env]);
  return (
    <div className={css["frame"]}>
      <a className={css["skip"]} href="#main">
        Skip to the page
      </a>
      <header className={css["header"]}>
        <ActionIcon
          className={css["small"]}
          variant="subtle"
          color="gray"
          aria-label="Open navigation"
          onClick={() => setMenu(true)}
        >
          <Icon name="menu" />
        </ActionIcon>
        <Link to="/" className={css["brand"]} aria-label="Sixpack, to the catalogue">
          <img src="/favicon.svg" alt="" width={22} height={22} />
          <span className={css["word"]}>Sixpack</span>
        </Link>
        <Environment env={env} />
        <button type="button" className={css["find"]} onClick={() => setPalette(true)}>
          <Icon name="search" size={14} />
          <span>Find or request anything</span>
          <Kbd size="xs">Ctrl K</Kbd>
        </button>
        <Scheme />
        <Person onSheet={() => setSheet(true)} />
      </header>
      <nav className={css["nav"]} aria-label="Pages">
        <Pages env={env} />
      </nav>
      <main id="main" ref={main} className={css["main"]} tabIndex={-1}>
        <Lost connection={connection} />
        <Outlet />
      </main>
      <Drawer
        opened={menu}
        onClose={() => setMenu(false)}
        size={240}
        title="Pages"
        lockScroll={false}
        closeButtonProps={{ "aria-label": "Close navigation" }}
        attributes={{ header: { role: "none" } }}
      >
        <nav
          className={css["nav"]}
          style={{ position: "static", border: 0, height: "auto" }}
          aria-label="Pages"
          onClick={() => setMenu(false)}
        >
          <Pages env={env} />
        </nav>
      </Drawer>
      <Palette env={env} opened={palette} onClose={() => setPalette(false)} />
      <KeySheet opened={sheet} onClose={() => setSheet(false)} />
    </div>
  );
}

function Pages({ env }: { env: string | undefined }) {
  return (
    <>
      {env !== undefined &&
        PAGES.map((page) => (
          <Link
            key={page.to}
            to={page.to}
            params={{ env }}
            title={`${page.says} (g ${page.key})`}
            activeProps={{ "aria-current": "page" }}
          >
            <Icon name={page.icon} />
            {page.name}
          </Link>
        ))}
      <Link to="/settings" activeProps={{ "aria-current": "page" }}>
        <Icon name="settings" />
        Settings
      </Link>
    </>
  );
}

function Environment({ env }: { env: string | undefined }) {
  const navigate = useNavigate();
  const known = useQuery(environments).data?.items.map(({ name }) => name) ?? [];
  const names = env === undefined || known.includes(env) ? known : [env, ...known];
  if (names.length === 0) return null;
  return (
    <NativeSelect
      aria-label="Environment"
      size="xs"
      value={env ?? ""}
      data={env === undefined ? ["", ...names] : names}
      onChange={(event) => {
        if (event.currentTarget.value !== "") {
          void navigate({ to: "/env/$env/contracts", params: { env: event.currentTarget.value } });
        }
      }}
    />
  );
}

function Scheme() {
  const { setColorScheme } = useMantineColorScheme();
  const scheme = useComputedColorScheme("light", { getInitialValueInEffect: false });
  const other = scheme === "dark" ? "light" : "dark";
  return (
    <ActionIcon variant="subtle" color="gray" aria-label={`Use ${other} colours`} onClick={() => setColorScheme(other)}>
      <Icon name={scheme === "dark" ? "sun" : "moon"} />
    </ActionIcon>
  );
}

function Person({ onSheet }: { onSheet: () => void }) {
  const who = useQuery(signIn).data;
  const signOut = async () => {
    await api.DELETE("/v1/sign-in", {});
    // A fresh start, so that nothing of this person stays in memory.
    location.assign("/sign-in");
  };
  return (
    <Menu position="bottom-end" withinPortal>
      <Menu.Target>
        <Button size="compact-sm" variant="subtle" color="gray" aria-label={`Signed in as ${who?.name ?? "nobody"}`}>
          <Icon name="mine" />
        </Button>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Label>
          {who?.name ?? "nobody"} · {who?.role ?? ""}
        </Menu.Label>
        <Menu.Item onClick={onSheet}>Keys</Menu.Item>
        <Menu.Item component="a" href="/docs/errors" target="_blank">
          What errors mean
        </Menu.Item>
        <Menu.Item onClick={() => void signOut()}>Sign out</Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}

function Lost({ connection }: { connection: Connection }) {
  return (
    <div role="status" aria-live="polite">
      {connection.state === "lost" && (
        <div className={css["lost"]}>
          The connection was lost <Time at={new Date(connection.since).toISOString()} />. What you see may be old; it
          catches up by itself as soon as the server answers.
        </div>
      )}
    </div>
  );
}
