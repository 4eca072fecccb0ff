/** A button that copies, and says that it has. */
import { ActionIcon, Button, Tooltip } from "@mantine/core";
import { useClipboard } from "@mantine/hooks";
import { pretty } from "~/lib/exact";
import { Icon } from "./Icon";

interface CopyProps {
  /** What is copied: a text as it is, anything else as JSON. */
  value: unknown;
  /** What it is, for those who do not see where the button stands. */
  what: string;
}

export function Copy({ value, what }: CopyProps) {
  const clipboard = useClipboard({ timeout: 1500 });
  const text = typeof value === "string" ? value : pretty(value);
  const label = clipboard.copied ? `Copied ${what}` : `Copy ${what}`;
  return (
    <Tooltip label={label} withArrow>
      <ActionIcon variant="subtle" color="gray" size="sm" aria-label={label} onClick={() => clipboard.copy(text)}>
        <Icon name={clipboard.copied ? "check" : "copy"} size={14} />
      </ActionIcon>
    </Tooltip>
  );
}

/** The same with words, for what somebody is meant to copy. */
export function CopyButton({ value, what, children }: CopyProps & { children: string }) {
  const clipboard = useClipboard({ timeout: 1500 });
  return (
    <Button
      size="compact-sm"
      variant="default"
      leftSection={<Icon name={clipboard.copied ? "check" : "copy"} size={14} />}
      {...(clipboard.copied ? {} : { "aria-label": `${children}: ${what}` })}
      onClick={() => clipboard.copy(typeof value === "string" ? value : pretty(value))}
    >
      {clipboard.copied ? "Copied" : children}
    </Button>
  );
}

/** A text to be copied as it stands. */
export function Snippet({ text, what }: { text: string; what: string }) {
  return (
    <div style={{ position: "relative", minWidth: 0 }}>
      <pre
        tabIndex={0}
        aria-label={what}
        role="group"
        style={{ background: "var(--sp-raised)", padding: "10px 40px 10px 12px", borderRadius: 6, overflowX: "auto" }}
      >
        {text}
      </pre>
      <div style={{ position: "absolute", top: 6, right: 6 }}>
        <Copy value={text} what={what} />
      </div>
    </div>
  );
}
