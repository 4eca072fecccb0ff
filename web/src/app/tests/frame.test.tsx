/** What all pages share: signing in, the palette, the keys. */
import { screen, waitFor, within } from "@testing-library/react";
import { http, HttpResponse } from "msw";
import { expect, test } from "vitest";
import { isOwn } from "~/app/SignInPage";
import { open } from "~/testing/page";
import { answers, refuses } from "~/testing/server";
import { contractEntry } from "~/testing/things";

const listed = answers("get", "/v1/environments/{env}/contracts", { items: [contractEntry()] });

test("whoever is not signed in is asked to, and comes back to where they wanted to go", async () => {
  let known = false;
  const { user, router } = open(
    "/env/default/contracts?q=x",
    answers("put", "/v1/sign-in", ({ body }) => {
      known = (body as { token: string }).token === "sxp_good";
      return { name: "ada", role: "consumer" as const };
    }),
    refuses("get", "/v1/sign-in", 401, { code: "unauthenticated", detail: "Send one usable token." }),
  );
  await user.type(await screen.findByLabelText("Token"), "sxp_good");
  await user.click(screen.getByRole("button", { name: "Sign in" }));
  await waitFor(() => expect(router.state.location.href).toBe("/env/default/contracts?q=x"));
  expect(known).toBe(true);
});

test("a token that is not usable is told", async () => {
  const { user } = open(
    "/sign-in",
    refuses("put", "/v1/sign-in", 401, { code: "unauthenticated", detail: "Send one usable token." }),
  );
  await user.type(await screen.findByLabelText("Token"), "sxp_bad");
  await user.click(screen.getByRole("button", { name: "Sign in" }));
  expect(await screen.findByText("Send one usable token.")).toBeInTheDocument();
});

test("signing in leads nowhere but to our own pages", () => {
  for (const [to, own] of [
    ["/env/a", true],
    ["//evil.test", false],
    ["/\\evil.test", false],
    ["https://evil.test", false],
    [undefined, false],
  ] as const) {
    expect(isOwn(to), to).toBe(own);
  }
});

test("the palette is left as it was entered, and the page behind it stays", async () => {
  const { user } = open("/env/default/mine", listed, answers("get", "/v1/leases", { items: [] }));
  await screen.findByRole("heading", { name: "My data" });
  await user.keyboard("{Control>}k{/Control}");
  expect(await screen.findByRole("dialog", { name: "Find or request anything" })).toBeInTheDocument();
  await user.keyboard("{Escape}");
  await waitFor(() => expect(screen.queryByRole("dialog")).not.toBeInTheDocument());
  expect(screen.getByRole("heading", { name: "My data" })).toBeInTheDocument();
});

test("the palette leads to the form of a contract without the mouse", async () => {
  const { user, router } = open(
    "/env/default/mine",
    listed,
    answers("get", "/v1/leases", { items: [] }),
    answers("get", "/v1/environments/{env}/contracts/{domain}/{name}", () => ({ ...contractEntry() }) as never),
  );
  await screen.findByRole("heading", { name: "My data" });
  await user.keyboard("{Control>}k{/Control}");
  const box = await screen.findByRole("combobox", { name: "Find or request anything" });
  await user.type(box, "request account");
  await within(screen.getByRole("listbox")).findByText("Request billing/payment-account");
  await user.keyboard("{Enter}");
  await waitFor(() => expect(router.state.location.pathname).toBe("/env/default/contracts/billing/payment-account"));
});

test("two keys lead to a page, and a question mark shows them all", async () => {
  const { user, router } = open("/env/default/requests", listed);
  await screen.findByRole("heading", { name: "Requests" });
  await user.keyboard("gs");
  await waitFor(() => expect(router.state.location.pathname).toBe("/env/default/stock"));
  await user.keyboard("?");
  expect(await screen.findByRole("dialog", { name: "Keys" })).toBeInTheDocument();
});

test("keys do nothing for those who turned them off", async () => {
  localStorage.setItem("sixpack.keys", "off");
  const { user, router } = open("/env/default/requests", listed);
  await screen.findByRole("heading", { name: "Requests" });
  await user.keyboard("gs?");
  expect(router.state.location.pathname).toBe("/env/default/requests");
  expect(screen.queryByRole("dialog")).not.toBeInTheDocument();
});

test("the beginning is the catalogue of the environment that was looked at last", async () => {
  localStorage.setItem("sixpack.environment", "default");
  const { router } = open("/");
  await waitFor(() => expect(router.state.location.pathname).toBe("/env/default/contracts"));
});

test("a cookie that is not good any more does not keep anybody out of a server without tokens", async () => {
  let cookie = true;
  const { router } = open(
    "/env/default/requests",
    answers("delete", "/v1/sign-in", () => {
      cookie = false;
      return undefined;
    }),
    http.get("*/v1/sign-in", () =>
      cookie
        ? HttpResponse.json({ code: "unauthenticated", title: "x", detail: "x" }, { status: 401 })
        : HttpResponse.json({ name: "insecure-dev", role: "admin" }),
    ),
  );
  expect(await screen.findByRole("heading", { name: "Requests" })).toBeInTheDocument();
  expect(router.state.location.pathname).toBe("/env/default/requests");
});
