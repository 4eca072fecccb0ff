/** A sentence of the server, with its times as everywhere: local, and in UTC on hover. */
import { Time } from "./Time";

const INSTANT = /(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z)/;

export function Told({ text }: { text: string }) {
  return text.split(INSTANT).map((part, index) => (index % 2 === 1 ? <Time key={index} at={part} absolute /> : part));
}
