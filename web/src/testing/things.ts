/** Things of the API with everything that they need; a test says only what matters to it. */
import type {
  Contract,
  ContractEntry,
  ContractStatistics,
  Dataset,
  Lease,
  Request,
  StockHistory,
  StockRule,
} from "~/api/schema";

const AT = "2026-11-22T10:41:07.120Z";

export const OWNER = { team: "Billing", contact: "billing@shop.test", issues: "https://issues.shop.test/billing" };

export function contractEntry(of: Partial<ContractEntry> = {}): ContractEntry {
  return {
    name: "billing/payment-account",
    version: 3,
    kind: "capability",
    status: "online",
    description: "An open account",
    owner: OWNER,
    labels: {},
    operations: ["produce", "check", "undo"],
    sessions: 1,
    checked: 1,
    of: 1,
    uses: [],
    updated_at: AT,
    ...of,
  };
}

export function contract(of: Partial<Contract> = {}): Contract {
  return {
    ...contractEntry(of),
    input: {
      type: "object",
      properties: {
        country: { type: "string", enum: ["CZ", "FR", "DE"], default: "FR" },
        lines: { type: "integer", minimum: 1, maximum: 50, default: 2 },
        email: { type: "string" },
      },
      required: ["email"],
    },
    output: {
      type: "object",
      properties: { account_id: { type: "string", "x-entity": "account" }, pin: { type: "string", "x-secret": true } },
    },
    settle_s: 30,
    used_by: [],
    drifted: 0,
    versions: [{ version: 3, change: "new", created_at: AT, changes: [] }],
    faults: [],
    ...of,
  };
}

export function statisticsOf(of: Partial<ContractStatistics> = {}): ContractStatistics {
  return {
    contract: "billing/payment-account",
    requests: { fulfilled: 0, failed: 0, expired: 0, cancelled: 0, from_stock: 0 },
    datasets: { made: 0, failed: 0 },
    ...of,
  };
}

export function request(of: Partial<Request> = {}): Request {
  return {
    id: "req_1",
    environment: "default",
    contract: "billing/payment-account",
    version: 3,
    input: {},
    count: 1,
    source: "stock_first",
    lease: { ttl_s: 1800 },
    holder: "ada",
    priority: "person",
    status: "building",
    revision: 1,
    created_at: AT,
    deadline_at: "2026-11-22T10:46:07.120Z",
    leases: [],
    progress: { done: 0, total: 1, steps: [] },
    ...of,
  };
}

export function lease(of: Partial<Lease> = {}): Lease {
  return {
    id: "lease_1",
    fence: 7,
    status: "held",
    environment: "default",
    holder: "ada",
    request_id: "req_1",
    ttl_s: 1800,
    ttl_ms: 1_500_000,
    granted_at: AT,
    expires_at: "2026-11-22T11:11:07.120Z",
    dataset: {
      id: "ds_1",
      contract: "billing/payment-account",
      version: 3,
      output: { account_id: "a-1", pin: "1234" },
    },
    ...of,
  };
}

export function dataset(of: Partial<Dataset> = {}): Dataset {
  return {
    id: "ds_1",
    root_id: "ds_1",
    environment: "default",
    contract: "billing/payment-account",
    version: 3,
    kind: "capability",
    status: "ready",
    path: "",
    input: {},
    origin: "made",
    request_id: "req_1",
    created_at: AT,
    ...of,
  };
}

export function stockRule(of: Partial<StockRule> = {}): StockRule {
  return {
    name: "accounts",
    contract: "billing/payment-account",
    input: {},
    target: 5,
    priority: 50,
    state: "active",
    revision: 1,
    created_at: AT,
    changed_at: AT,
    faults: [],
    stock: { ready: 2, coming: 1, imported: 0, came_back: 0, hits: 9, misses: 1, made: 12, failed: 0 },
    ...of,
  };
}

/** A history of spans of five minutes. */
export function stockHistory(of: Partial<StockHistory> = {}): StockHistory {
  const same = (value: number) => (of.ready ?? [3, 0, 5]).map((ready) => (ready === null ? null : value));
  return {
    name: "accounts",
    contract: "billing/payment-account",
    since: AT,
    every_s: 300,
    ready: [3, 0, 5],
    coming: same(0),
    target: same(5),
    hits: same(2),
    misses: same(0),
    made: same(1),
    failed: same(0),
    ...of,
  };
}
