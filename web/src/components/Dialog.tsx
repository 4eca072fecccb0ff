/** A dialog as all of ours are: the page behind it keeps its place, and its cross has a name. */
import { Modal } from "@mantine/core";
import type { ReactNode } from "react";

interface DialogProps {
  title: string;
  opened: boolean;
  onClose: () => void;
  size?: "md" | "lg";
  children: ReactNode;
}

export function Dialog({ size = "md", ...props }: DialogProps) {
  return (
    <Modal
      {...props}
      size={size}
      lockScroll={false}
      closeButtonProps={{ "aria-label": "Close" }}
      // The head of a dialog is not that of the page.
      attributes={{ header: { role: "none" } }}
    />
  );
}
