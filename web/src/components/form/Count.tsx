/** A whole number from 1: what is being typed stays as it is typed, and only numbers are passed on. */
import { NumberInput, type NumberInputProps } from "@mantine/core";
import { useState } from "react";

interface CountProps extends Omit<NumberInputProps, "value" | "onChange" | "min" | "allowDecimal"> {
  value: number;
  max: number;
  onChange: (value: number) => void;
}

export function Count({ value, onChange, ...rest }: CountProps) {
  const [typed, setTyped] = useState<number | string>(value);
  return (
    <NumberInput
      {...rest}
      min={1}
      allowDecimal={false}
      value={typed}
      onChange={(each) => {
        setTyped(each);
        if (typeof each === "number" && each >= 1) onChange(each);
      }}
      onBlur={() => setTyped(value)}
    />
  );
}
