/** What somebody holds, and has held: what was chosen is in the address. */
import { screen, waitFor } from "@testing-library/react";
import { expect, test } from "vitest";
import { open } from "~/testing/page";
import { answers } from "~/testing/server";
import { lease } from "~/testing/things";

test("an address holds whose leases are shown, and which", async () => {
  const asked: string[] = [];
  const { user, router } = open(
    "/env/default/mine?which=all",
    answers("get", "/v1/leases", ({ query }) => {
      asked.push(`${query.get("holder")} ${query.get("status")}`);
      return { items: [lease()] };
    }),
  );
  expect(await screen.findByRole("radio", { name: "Ever held" })).toBeChecked();
  await waitFor(() => expect(asked.at(-1)).toBe("ada null"));
  await user.click(screen.getByText("By anybody"));
  await waitFor(() => expect(asked.at(-1)).toBe("null null"));
  expect(router.state.location.search).toEqual({ whose: "all", which: "all" });
  await user.click(screen.getByText("Held now"));
  await waitFor(() => expect(asked.at(-1)).toBe("null held"));
  expect(router.state.location.search).toEqual({ whose: "all" });
});
