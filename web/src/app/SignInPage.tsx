/** Signing in: a token is handed in once, by link or by hand, and is kept where no script can read it. */
import { Button, PasswordInput } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useEffect, useState } from "react";
import { api, body } from "~/api/client";
import { signIn } from "~/api/queries";
import { Page, Panel } from "~/components/Panel";
import { ProblemView } from "~/components/Problem";

/** The token of a link like the one that `sixpack dev` prints. It is taken out of the address before anything else. */
function takeToken(): string {
  const token = location.hash.startsWith("#sxp_") ? location.hash.slice(1) : "";
  if (token !== "") history.replaceState(history.state, "", location.pathname + location.search);
  return token;
}

/** Read when the page is loaded, before the router looks at the address. */
const linked = typeof location === "undefined" ? "" : takeToken();

export function SignInPage() {
  const [token, setToken] = useState("");
  const { to } = useSearch({ strict: false });
  const navigate = useNavigate();
  const client = useQueryClient();
  const handIn = useMutation({
    mutationFn: (token: string) => body(api.PUT("/v1/sign-in", { body: { token } })),
    onSuccess: async (who) => {
      client.clear();
      client.setQueryData(signIn.queryKey, who);
      await navigate({ to: isOwn(to) ? to : "/", replace: true });
    },
  });
  const { mutate } = handIn;
  useEffect(() => {
    if (linked !== "") mutate(linked);
  }, [mutate]);
  return (
    <main style={{ maxWidth: 460, margin: "10vh auto 0" }}>
      <Page title="Sixpack" name="Sign in">
        <Panel title="Sign in">
          <form
            className="stack"
            onSubmit={(event) => {
              event.preventDefault();
              mutate(token.trim());
            }}
          >
            <p>
              With a token: <code>sixpack dev</code> prints one with a link that signs you in,{" "}
              <code>sixpack token create</code> makes others. It is kept in this browser for 12 hours, where no script
              can read it.
            </p>
            {/* Keepers of passwords file the token under this name. */}
            <input type="text" name="username" autoComplete="username" value="sixpack" readOnly hidden />
            <PasswordInput
              label="Token"
              placeholder="sxp_…"
              autoComplete="current-password"
              value={token}
              onChange={(event) => setToken(event.currentTarget.value)}
              visibilityToggleButtonProps={{ "aria-label": "Show the token" }}
            />
            {handIn.isError && <ProblemView error={handIn.error} />}
            <Button type="submit" loading={handIn.isPending} disabled={token.trim() === ""}>
              Sign in
            </Button>
          </form>
        </Panel>
      </Page>
    </main>
  );
}

/** Only addresses of our own pages are gone back to. */
export function isOwn(to: string | undefined): to is string {
  return to !== undefined && /^\/(?![/\\])/.test(to);
}
