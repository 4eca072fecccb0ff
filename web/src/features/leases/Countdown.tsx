/** How long a lease is still held, counted from the answer that said so: the wall clock does not matter. */
import { Progress } from "@mantine/core";
import type { Lease } from "~/api/schema";
import { useNow } from "~/components/now";
import { span, utc } from "~/lib/times";

/** From here on somebody should renew or finish: a fifth of the whole, as for programs. */
const SOON = 0.2;

export function Countdown({ lease, readAt }: { lease: Lease; readAt: number }) {
  const now = useNow();
  const left = Math.max(0, lease.ttl_ms - Math.max(0, now - readAt));
  const share = left / (lease.ttl_s * 1000);
  const soon = share < SOON;
  return (
    <div style={{ minWidth: 220 }} title={`until ${utc(lease.expires_at)}`}>
      <div style={soon ? { color: "var(--sp-bad)", fontWeight: 600 } : undefined}>
        {left === 0 ? "Its time is over" : `${span(Math.ceil(left / 1000) * 1000)} left`}
      </div>
      <Progress size="sm" value={Math.min(100, 100 * share)} color={soon ? "red" : "blue"} aria-label="Time left" />
    </div>
  );
}
