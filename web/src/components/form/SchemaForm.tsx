/** A form made of a JSON Schema: one field a property, what is left out keeps the default of the contract. */
import { NativeSelect, PasswordInput, SegmentedControl, TextInput, Textarea } from "@mantine/core";
import { useState } from "react";
import { isRecord, pretty, shown } from "~/lib/exact";
import { choicesOf, kindOf, marksOf, propertiesOf, resolved, typeInWords, type JsonSchema } from "~/lib/schema";
import css from "./SchemaForm.module.css";

/** Objects inside of objects are forms down to here; deeper ones are written as JSON. */
const DEPTH_MAX = 3;

export type Input = Record<string, unknown>;

interface SchemaFormProps {
  schema: JsonSchema;
  value: Input;
  onChange: (value: Input) => void;
  /** By JSON Pointer into the value. */
  faults: ReadonlyMap<string, string>;
  /** What is filled in; it is told apart from others on the page by this. */
  what?: string;
  /** What becomes of what is left out, where it is neither. */
  says?: string;
}

export function SchemaForm({ schema, value, onChange, faults, what = "input", says }: SchemaFormProps) {
  const [as, setAs] = useState("form");
  const root = resolved(schema, schema);
  const properties = propertiesOf(root, schema);
  const whole = faults.get("");
  return (
    <div className="stack">
      <div className="row between">
        <span className="dim">
          {says ??
            (what !== "input"
              ? "What you leave out may be anything."
              : properties.length === 0
                ? "This contract needs no input."
                : "What you leave out takes its default.")}
        </span>
        <SegmentedControl
          size="xs"
          aria-label={`Write the ${what} as`}
          value={as}
          onChange={setAs}
          data={[
            { value: "form", label: "Form" },
            { value: "json", label: "JSON" },
          ]}
        />
      </div>
      {as === "json" ? (
        <JsonField
          label={what === "input" ? "Input" : `The ${what}`}
          value={value}
          onChange={(each) => onChange(isRecord(each) ? each : {})}
        />
      ) : (
        <Fields root={schema} schema={root} value={value} onChange={onChange} faults={faults} pointer="" depth={0} />
      )}
      {whole !== undefined && <p className={css["fault"]}>{whole}</p>}
    </div>
  );
}

interface FieldsProps extends Omit<SchemaFormProps, "what" | "says"> {
  root: JsonSchema;
  pointer: string;
  depth: number;
}

function Fields({ root, schema, value, onChange, faults, pointer, depth }: FieldsProps) {
  return (
    <div className={css["fields"]}>
      {propertiesOf(schema, root).map((property) => (
        <Field
          key={property.name}
          root={root}
          schema={property.schema}
          name={property.name}
          required={property.required}
          value={value[property.name]}
          onChange={(each) => {
            const others = Object.entries(value).filter(([name]) => name !== property.name);
            onChange(Object.fromEntries(each === undefined ? others : [...others, [property.name, each]]));
          }}
          faults={faults}
          pointer={`${pointer}/${property.name.replaceAll("~", "~0").replaceAll("/", "~1")}`}
          depth={depth}
        />
      ))}
    </div>
  );
}

interface FieldProps {
  root: JsonSchema;
  schema: JsonSchema;
  name: string;
  required: boolean;
  value: unknown;
  onChange: (value: unknown) => void;
  faults: ReadonlyMap<string, string>;
  pointer: string;
  depth: number;
}

function Field(props: FieldProps) {
  const { root, schema, name, required, value, onChange, faults, pointer, depth } = props;
  const description = [schema["description"], ...marksOf(schema)]
    .filter((text) => typeof text === "string" && text !== "")
    .join(" · ");
  const fallback = schema["default"] ?? undefined;
  const given = fallback !== undefined ? `default ${shown(fallback)}` : required ? "" : "left out";
  const common = {
    label: name,
    withAsterisk: required,
    description: description === "" ? undefined : description,
    error: faults.get(pointer),
    size: "sm",
  } as const;
  const choices = choicesOf(schema) ?? (kindOf(schema) === "boolean" ? [true, false] : undefined);
  if (choices !== undefined) {
    const index = choices.findIndex((choice) => shown(choice) === shown(value));
    return (
      <NativeSelect
        {...common}
        value={value === undefined ? "" : String(index)}
        data={[
          { value: "", label: given === "" ? "choose" : given },
          ...choices.map((choice, at) => ({ value: String(at), label: shown(choice) })),
        ]}
        onChange={(event) =>
          onChange(event.currentTarget.value === "" ? undefined : choices[Number(event.currentTarget.value)])
        }
      />
    );
  }
  const kind = kindOf(schema);
  if (kind === "object" && depth < DEPTH_MAX && propertiesOf(schema, root).length > 0) {
    return (
      <fieldset className={css["set"]}>
        <legend>{name}</legend>
        {description !== "" && <p className="dim">{description}</p>}
        <Fields
          {...props}
          value={isRecord(value) ? value : {}}
          onChange={(each) => onChange(Object.keys(each).length === 0 ? undefined : each)}
          depth={depth + 1}
        />
        {common.error !== undefined && <p className={css["fault"]}>{common.error}</p>}
      </fieldset>
    );
  }
  const text = value === undefined ? "" : shown(value);
  if (kind === "integer" || kind === "number") {
    return (
      <TextInput
        {...common}
        inputMode={kind === "integer" ? "numeric" : "decimal"}
        placeholder={[given, typeInWords(schema, root)].filter(Boolean).join(" · ")}
        value={text}
        onChange={(event) => onChange(numberOf(event.currentTarget.value))}
      />
    );
  }
  if (kind === "string") {
    const take = (event: { currentTarget: { value: string } }) =>
      onChange(event.currentTarget.value === "" ? undefined : event.currentTarget.value);
    const hint = [given, typeof schema["format"] === "string" ? schema["format"] : ""].filter(Boolean).join(" · ");
    return schema["x-secret"] === true ? (
      <PasswordInput
        {...common}
        placeholder={hint}
        value={text}
        onChange={take}
        autoComplete="off"
        visibilityToggleButtonProps={{ "aria-label": `Show ${name}` }}
      />
    ) : (
      <TextInput {...common} placeholder={hint} value={text} onChange={take} autoComplete="off" spellCheck={false} />
    );
  }
  return (
    <JsonField
      {...common}
      placeholder={[given, typeInWords(schema, root)].filter(Boolean).join(" · ")}
      value={value}
      onChange={onChange}
    />
  );
}

interface JsonFieldProps {
  label: string;
  value: unknown;
  onChange: (value: unknown) => void;
  placeholder?: string;
  description?: string | undefined;
  error?: string | undefined;
}

/** A value that is written as JSON; what cannot be read yet is not passed on. */
function JsonField({ value, onChange, error, ...rest }: JsonFieldProps) {
  const [text, setText] = useState(value === undefined ? "" : pretty(value));
  const [unreadable, setUnreadable] = useState(false);
  return (
    <Textarea
      {...rest}
      autosize
      minRows={2}
      maxRows={16}
      classNames={{ input: css["json"] ?? "" }}
      spellCheck={false}
      error={unreadable ? "this is no JSON yet" : error}
      value={text}
      onChange={(event) => {
        const written = event.currentTarget.value;
        setText(written);
        try {
          onChange(written.trim() === "" ? undefined : JSON.parse(written));
          setUnreadable(false);
        } catch {
          setUnreadable(true);
        }
      }}
    />
  );
}

/** A number as far as it is one; other text stays text, which the schema then refuses. */
function numberOf(text: string): unknown {
  const trimmed = text.trim();
  if (trimmed === "") return undefined;
  return /^-?\d+(\.\d+)?([eE][-+]?\d+)?$/.test(trimmed) ? Number(trimmed) : text;
}
