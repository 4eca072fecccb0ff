/** The editor: YAML with faults marked where they are. It lives in a shadow tree, where its styles need no exception from the page's policy. */
import { defaultKeymap, history, historyKeymap, indentWithTab } from "@codemirror/commands";
import { yaml } from "@codemirror/lang-yaml";
import { HighlightStyle, indentOnInput, syntaxHighlighting } from "@codemirror/language";
import { lintGutter, setDiagnostics, type Diagnostic } from "@codemirror/lint";
import { tags } from "@lezer/highlight";
import { EditorState, type Text } from "@codemirror/state";
import { EditorView, drawSelection, highlightActiveLine, keymap, lineNumbers } from "@codemirror/view";
import { useEffect, useRef } from "react";
import type { ProblemFault } from "~/api/schema";

interface EditorProps {
  /** The text at the beginning; what is written afterwards is the editor's own. */
  text: string;
  onChange: (text: string) => void;
  /** Absent while nobody knows. */
  faults: ProblemFault[] | undefined;
  warnings: Omit<ProblemFault, "pointer">[];
}

const LOOK = EditorView.theme({
  "&": { fontSize: "13px", color: "var(--sp-text)", backgroundColor: "var(--sp-panel)" },
  ".cm-content": { fontFamily: "var(--sp-mono)", caretColor: "var(--sp-text)" },
  ".cm-gutters": { backgroundColor: "var(--sp-raised)", color: "var(--sp-dim)", border: "none" },
  ".cm-activeLine, .cm-activeLineGutter": { backgroundColor: "var(--sp-raised)" },
  ".cm-cursor": { borderLeftColor: "var(--sp-text)" },
  "&.cm-focused": { outline: "2px solid var(--sp-accent)", outlineOffset: "-2px" },
  ".cm-scroller": { minHeight: "260px", maxHeight: "60vh" },
  ".cm-tooltip": { backgroundColor: "var(--sp-panel)", color: "var(--sp-text)", border: "1px solid var(--sp-line)" },
  ".cm-diagnostic": { padding: "4px 8px" },
  "&.cm-focused .cm-selectionBackground, .cm-selectionBackground": {
    backgroundColor: "var(--sp-accent-soft) !important",
  },
});

const COLOURS = HighlightStyle.define([
  { tag: [tags.propertyName, tags.definition(tags.propertyName)], color: "var(--sp-accent)" },
  { tag: [tags.string, tags.attributeValue], color: "var(--sp-good)" },
  { tag: [tags.comment, tags.meta], color: "var(--sp-dim)", fontStyle: "italic" },
  { tag: [tags.number, tags.bool, tags.null, tags.keyword], color: "var(--sp-warn)" },
  { tag: [tags.separator, tags.punctuation, tags.squareBracket, tags.brace], color: "var(--sp-dim)" },
]);

/** Browsers give what is typed over a selection a style of its own, which the policy of the page reports. So it is put in from here. */
const TYPED_OVER = EditorView.domEventHandlers({
  beforeinput: (event, view) => {
    const typed = event.inputType === "insertText" && !event.isComposing ? event.data : null;
    if (typed === null || view.state.selection.main.empty) return false;
    view.dispatch(view.state.replaceSelection(typed), { userEvent: "input.type", scrollIntoView: true });
    return true;
  },
});

export default function Editor({ text, onChange, faults, warnings }: EditorProps) {
  const place = useRef<HTMLDivElement>(null);
  const view = useRef<EditorView>(undefined);
  const changed = useRef(onChange);
  useEffect(() => {
    changed.current = onChange;
  });
  const begun = useRef(text);
  useEffect(() => {
    const host = place.current;
    if (host === null) return;
    const shadow = host.shadowRoot ?? host.attachShadow({ mode: "open" });
    const made = new EditorView({
      parent: shadow,
      root: shadow,
      state: EditorState.create({
        doc: begun.current,
        extensions: [
          lineNumbers(),
          history(),
          drawSelection(),
          indentOnInput(),
          highlightActiveLine(),
          lintGutter(),
          yaml(),
          syntaxHighlighting(COLOURS),
          // Escape and then Tab leaves the editor: nobody is caught in it.
          keymap.of([...defaultKeymap, ...historyKeymap, indentWithTab]),
          EditorView.contentAttributes.of({ "aria-label": "Text of the scenario", spellcheck: "false" }),
          EditorView.updateListener.of((update) => {
            if (update.docChanged) changed.current(update.state.doc.toString());
          }),
          TYPED_OVER,
          LOOK,
        ],
      }),
    });
    // What scrolls can be reached by keyboard.
    made.scrollDOM.tabIndex = 0;
    view.current = made;
    return () => made.destroy();
  }, []);
  useEffect(() => {
    const made = view.current;
    if (made === undefined || faults === undefined) return;
    const marks = [
      ...faults.map((fault) => diagnosticOf(fault, "error", made.state.doc)),
      ...warnings.map((warning) => diagnosticOf(warning, "warning", made.state.doc)),
    ];
    made.dispatch(setDiagnostics(made.state, marks));
  }, [faults, warnings]);
  return <div ref={place} />;
}

function diagnosticOf(fault: Omit<ProblemFault, "pointer">, severity: "error" | "warning", doc: Text): Diagnostic {
  const line = doc.line(Math.min(Math.max(fault.line ?? 1, 1), doc.lines));
  const from = Math.min(line.from + Math.max((fault.column ?? 1) - 1, 0), line.to);
  const to = Math.min(from + Math.max(fault.length ?? 1, 1), Math.max(line.to, from));
  const message = fault.hint === undefined ? fault.message : `${fault.message}\n${fault.hint}`;
  return { from, to, severity, message };
}
