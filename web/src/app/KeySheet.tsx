/** The sheet of all keys. */
import { Kbd, Switch } from "@mantine/core";
import { useState } from "react";
import { Dialog } from "~/components/Dialog";
import { keysWanted, wantKeys } from "~/lib/shortcuts";
import { PAGES } from "./pages";

const KEYS: [keys: string[], does: string][] = [
  [["Ctrl", "K"], "Find or request anything"],
  [["/"], "Search this page"],
  [["j", "k"], "Next and previous row; Enter opens it"],
  [["?"], "This sheet"],
  ...PAGES.map(({ key, name }): [string[], string] => [["g", key], name]),
];

export function KeySheet({ opened, onClose }: { opened: boolean; onClose: () => void }) {
  const [wanted, setWanted] = useState(keysWanted);
  return (
    <Dialog opened={opened} onClose={onClose} title="Keys">
      <div className="stack">
        <ul className="stack" style={{ gap: 6 }}>
          {KEYS.map(([keys, does]) => (
            <li key={does} className="row between">
              {does}
              <span className="row" style={{ gap: 4 }}>
                {keys.map((key) => (
                  <Kbd key={key} size="xs">
                    {key}
                  </Kbd>
                ))}
              </span>
            </li>
          ))}
        </ul>
        <Switch
          label="Single keys do something"
          checked={wanted}
          onChange={(event) => {
            wantKeys(event.currentTarget.checked);
            setWanted(event.currentTarget.checked);
          }}
        />
      </div>
    </Dialog>
  );
}
