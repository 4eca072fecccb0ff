/** A new token: what it is for, what it may, and its secret, which is shown this once. */
import { Button, NativeSelect, TextInput } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api, body } from "~/api/client";
import { environments } from "~/api/queries";
import { Snippet } from "~/components/Copy";
import { Dialog } from "~/components/Dialog";
import { ProblemView } from "~/components/Problem";

const DAY_S = 86_400;
const ROLES = [
  { value: "consumer", label: "consumer: requests data" },
  { value: "supplier", label: "supplier: publishes states" },
  { value: "admin", label: "admin: everything" },
];
const ENDS = [
  { value: String(7 * DAY_S), label: "in a week" },
  { value: String(90 * DAY_S), label: "in 90 days" },
  { value: String(365 * DAY_S), label: "in a year" },
];

export function NewToken({ opened, onClose }: { opened: boolean; onClose: () => void }) {
  const client = useQueryClient();
  const [name, setName] = useState("");
  const [role, setRole] = useState("consumer");
  const [environment, setEnvironment] = useState("");
  const [domain, setDomain] = useState("");
  const [ends, setEnds] = useState(String(90 * DAY_S));
  const known = useQuery(environments).data?.items.map((each) => each.name) ?? [];
  const make = useMutation({
    mutationFn: () =>
      body(
        api.POST("/v1/tokens", {
          body: {
            name: name.trim(),
            role: role as "consumer",
            expires_in_s: Number(ends),
            ...(environment === "" ? {} : { environment }),
            ...(role === "supplier" && domain !== "" ? { domain } : {}),
          },
        }),
      ),
    onSuccess: () => client.invalidateQueries({ queryKey: ["tokens"] }),
  });
  const close = () => {
    onClose();
    make.reset();
    setName("");
  };
  return (
    <Dialog opened={opened} onClose={close} title="A new token">
      {make.data?.token !== undefined ? (
        <div className="stack">
          <p>This is shown once, and kept nowhere: copy it now.</p>
          <Snippet text={make.data.token} what="the token" />
          <div>
            <Button onClick={close}>I have it</Button>
          </div>
        </div>
      ) : (
        <form
          className="stack"
          onSubmit={(event) => {
            event.preventDefault();
            make.mutate();
          }}
        >
          <TextInput
            label="What it is for"
            data-autofocus
            required
            maxLength={200}
            value={name}
            onChange={(event) => setName(event.currentTarget.value)}
          />
          <NativeSelect
            label="Role"
            data={ROLES}
            value={role}
            onChange={(event) => setRole(event.currentTarget.value)}
          />
          <NativeSelect
            label="Environment"
            data={[{ value: "", label: "all of them" }, ...known]}
            value={environment}
            onChange={(event) => setEnvironment(event.currentTarget.value)}
          />
          {role === "supplier" && (
            <TextInput
              label="Domain"
              placeholder="any"
              value={domain}
              onChange={(event) => setDomain(event.currentTarget.value)}
            />
          )}
          <NativeSelect
            label="Ends"
            data={ENDS}
            value={ends}
            onChange={(event) => setEnds(event.currentTarget.value)}
          />
          {make.isError && <ProblemView error={make.error} />}
          <div>
            <Button type="submit" loading={make.isPending} disabled={name.trim() === ""}>
              Make it
            </Button>
          </div>
        </form>
      )}
    </Dialog>
  );
}
