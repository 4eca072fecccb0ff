//! Limits: everything in the model that could grow has one here, with its reason.

/// Characters of somebody's text that a message shows: enough to recognise it, too little to fill a log.
pub const EXCERPT_CHARS: usize = 64;

/// Bytes of a name that is compared for "did you mean": names are at most 127.
pub const NEAREST_LENGTH: usize = 128;

/// Slips of a name that is still offered: nobody meant a name with more, and what a comparison costs grows with them.
pub const NEAREST_SLIPS: usize = 8;

/// Bytes of one part of a name: a DNS label, so that names fit into host names, metrics and file names.
pub const SEGMENT_LENGTH: usize = 63;

/// Bytes of a step's name: as long as any other name.
pub const STEP_NAME_LENGTH: usize = 63;

/// Faults that one answer lists: more than anybody mends in one go.
pub const FAULTS_MAX: usize = 50;

// Schemas. The compiler and the validator of the JSON Schema library are recursive and know no budget: what they are
// given has been measured before.

/// Bytes of one schema, as compact JSON: ten times the largest schema generated from types that we have seen.
pub const SCHEMA_BYTES: usize = 128 * 1024;

/// Levels of nesting of one schema: twenty objects one in another. Types written by people reach about a dozen.
pub const SCHEMA_DEPTH: usize = 40;

/// Values (objects, lists, scalars) in one schema: bounds the time to compile it to some milliseconds.
pub const SCHEMA_NODES: usize = 5_000;

/// Bytes of a property name in a schema: the compiler keeps the way to every schema as text.
pub const SCHEMA_KEY_BYTES: usize = 128;

/// Alternatives in one `anyOf`, `oneOf` or `allOf`: each is tried one after another on every value.
pub const SCHEMA_ALTERNATIVES: usize = 500;

/// `pattern` and `patternProperties` in one schema: each is compiled to an automaton of its own.
pub const SCHEMA_PATTERNS: usize = 100;

/// Bytes of one pattern.
pub const PATTERN_BYTES: usize = 1024;

/// Bytes of one compiled pattern, so that a hundred stay within a few dozen megabytes: `\pL{1000}` needs far more.
pub const PATTERN_COMPILED_BYTES: usize = 256 * 1024;

/// Bytes of a compiled pattern that runs at the speed of reading; a larger one may take this many times as long for
/// each byte as it has bytes more.
pub const PATTERN_SMALL_BYTES: usize = 16 * 1024;

/// Bytes of text times patterns that one instance may cost, larger patterns counting more: about a second at worst.
pub const PATTERN_WORK: usize = 8 * 1024 * 1024;

/// The largest length or count that a schema may ask for or allow (`minLength`, `maxItems`, …): no value that we accept
/// could ever reach it, so it is a mistake.
pub const SCHEMA_COUNT: u64 = 1 << 31;

/// Schemas under evaluation one within another: the validator recurses, and this many fit into the stack of any thread.
pub const SCHEMA_CHAIN: usize = 512;

/// Evaluations of schemas that one instance may cause: well below a second of work. Alternatives that lead to the same
/// schema again double the work at each level, so that a schema of a few lines could otherwise keep a processor busy for
/// years.
pub const SCHEMA_EVALUATIONS: u64 = 5_000_000;

/// Evaluations up to which every fault of an instance is listed; beyond, only the first: the library collects all
/// before it returns any.
pub const SCHEMA_EXPLAINED: u64 = 20_000;

/// Defaults filled into one instance: stops schemas whose default asks for themselves again.
pub const DEFAULTS_FILLED: usize = 1_000;

/// Levels of nesting of an instance: no test data that people look at is deeper, and the validator recurses.
pub const INSTANCE_DEPTH: usize = 64;

/// Values in an instance.
pub const INSTANCE_NODES: usize = 100_000;

/// Bytes of an instance: a dataset is a state that a tester refers to, not a load file.
pub const INSTANCE_BYTES: usize = 1024 * 1024;

/// Bytes of a property name in an instance: room for a link; every fault repeats the names on the way to it.
pub const KEY_BYTES: usize = 512;

/// Bytes of the key of an entity: it is indexed, and no service has longer ones.
pub const ENTITY_KEY_BYTES: usize = 256;

/// Entities in one value: each is recorded, and held against those of every live lease.
pub const ENTITIES: usize = 1_000;

/// Characters of one number: identifiers of thirty digits pass, and nothing has to be calculated with a megabyte of them.
pub const NUMBER_CHARS: usize = 100;

/// Exponent of one number, either way: what a double can hold. `1e131071` is never expanded.
pub const NUMBER_EXPONENT: i64 = 308;

// Manifests and contracts.

/// Capabilities in one manifest: one domain; the largest catalogues have about as many kinds in total.
pub const MANIFEST_CAPABILITIES: usize = 1_000;

/// Bytes of a description: one screen of text.
pub const DESCRIPTION_BYTES: usize = 4_000;

/// Bytes of the name of a team, a contact, a build, an SDK: one line of text.
pub const LINE_BYTES: usize = 200;

/// Bytes of the reason for which a lease is taken away: a sentence or two. Whoever held it is told it with every refusal.
pub const REASON_BYTES: usize = 500;

/// Bytes of a link: what every browser takes.
pub const LINK_BYTES: usize = 2_000;

/// Labels on one contract: more is a database.
pub const LABELS: usize = 32;

/// Bytes of a label's value.
pub const LABEL_BYTES: usize = 200;

/// Longest time for one attempt: a day; longer processes answer `again`.
pub const TIMEOUT_S: u64 = 86_400;

/// Most tasks of one capability that run at once.
pub const CONCURRENCY: u64 = 10_000;

/// Slowest rate: one in about a quarter of an hour.
pub const RATE_MIN_PER_S: f64 = 0.001;

/// Fastest rate.
pub const RATE_MAX_PER_S: f64 = 10_000.0;

/// Longest time that evidence may count as fresh: a week.
pub const FRESH_FOR_S: u64 = 7 * 86_400;

/// Longest time that a dataset is handed over although a service cannot be asked: a week, a long outage.
pub const STALE_FOR_S: u64 = 7 * 86_400;

/// Longest time that services get to agree after the last part was made: an hour.
pub const SETTLE_S: u64 = 3_600;

/// Most attempts of one task.
pub const ATTEMPTS: u64 = 100;

/// Longest pause between two attempts: a day.
pub const RETRY_DELAY_MS: u64 = 86_400_000;

// Channels.

/// The first number of a version that a supplier under development registers. A deployed version costs a commit, so none
/// ever gets that far; and who sees the number knows what it is.
pub const CHANNEL_VERSIONS_FROM: u32 = 1_000_000_000;

/// Versions of one contract that suppliers under development have registered and that are kept, over all channels: what
/// a few dozen people change within the longest lease. What was made from a forgotten one is still undone, by its key.
pub const CHANNEL_VERSIONS_KEPT: u32 = 1_000;

/// Channels of one environment in which somebody is live at once: every engineer of a large landscape has one. Whoever
/// misspells a channel is shown them all.
pub const CHANNELS: usize = 100;

// Search.

/// Bytes of the text of a search: a sentence.
pub const SEARCH_BYTES: usize = 256;

// Expressions. Parser and evaluator recurse over the syntax tree, so its depth is what bounds the stack.

/// Bytes of one expression: forty lines; what needs more is a step of its own.
pub const EXPRESSION_BYTES: usize = 4 * 1024;

/// Parentheses, brackets, braces, signs and choices inside each other: people lose track after a handful.
pub const EXPRESSION_NESTING: usize = 32;

/// Nodes of a syntax tree from top to bottom, which is also how many operators or selectors one chain may have.
pub const EXPRESSION_DEPTH: usize = 128;

/// Loops (`map`, `filter`, `all`, `exists`) inside each other: each one multiplies the work by the length of a list.
pub const EXPRESSION_LOOPS: usize = 2;

/// Expressions inside one text: more is a document, which a supplier makes better.
pub const TEXT_EXPRESSIONS: usize = 100;

/// Steps of one evaluation: a node visited, or 64 bytes read. About ten milliseconds.
pub const EXPRESSION_STEPS: usize = 100_000;

/// Bytes that one evaluation may create: as large as the largest value that we accept.
pub const EXPRESSION_MADE_BYTES: usize = INSTANCE_BYTES;

// Files of scenarios and of stock rules.

/// Bytes of a file: a hundred times the largest that people wrote.
pub const FILE_BYTES: usize = 1024 * 1024;

/// Levels of nesting of a file: the bound of the schemas that a scenario holds.
pub const FILE_DEPTH: usize = SCHEMA_DEPTH;

/// Values of a file after its aliases are expanded: ten times the largest schema.
pub const FILE_NODES: usize = 100_000;

// Scenario files.

/// Steps of one scenario: more cannot be looked at; nest scenarios.
pub const SCENARIO_STEPS: usize = 200;

/// Values under `with` of all steps and `output` of one scenario: fifty for each of as many steps as there may be. Whoever
/// applies a file has it read several times, so this bounds what a refusal may cost.
pub const SCENARIO_VALUES: usize = 10_000;

/// Expressions among them: a dozen for each of as many steps as there may be. They cost ten times as much as other values.
pub const SCENARIO_EXPRESSIONS: usize = 2_500;

/// Scenarios inside each other: deeper ones cannot be diagnosed by a person.
pub const SCENARIO_NESTING: usize = 5;

/// Values that one `for_each` may have: each becomes a dataset with tasks of its own.
pub const FOR_EACH_VALUES: usize = 1_000;

/// Invariants of one scenario: all are evaluated whenever a dataset is checked.
pub const SCENARIO_INVARIANTS: usize = 100;

/// Names in `needs`: one step waits for at most this many others without taking data from them.
pub const STEP_NEEDS: usize = 50;

// Stock rules.

/// Rules of one environment: every round of refilling looks at each of them, and all are checked again whenever a contract
/// changes. One rule keeps as many datasets as its target says, so more rules are more kinds of data than anybody knows.
pub const STOCK_RULES: usize = 1_000;

/// Datasets that one rule keeps ready: as many as the store is measured with.
pub const STOCK_TARGET: u64 = 100_000;

/// The priority of a rule that is refilled first.
pub const STOCK_PRIORITY: u64 = 100;

/// Bytes of a rule's input, as compact JSON: all rules of an environment are kept in memory.
pub const STOCK_INPUT_BYTES: usize = 64 * 1024;

/// Longest time that a dataset may stay in stock: a year; what is older is an archive.
pub const STOCK_AGE_S: u64 = 365 * 86_400;

/// The span of time in which it is noted once what a line has: whoever looks at a day sees every low that lasts, and a thousand lines are
/// a few rows a second.
pub const STOCK_HISTORY_EVERY_S: u32 = 300;

/// Such spans that are kept: a day, so that the night before and this time yesterday are in it. A line with all of them is some 30 KiB.
pub const STOCK_HISTORY_SPANS: u32 = 288;

/// Points that the history of a line is told in at least: two hours each. Fewer are no history.
pub const STOCK_HISTORY_POINTS_LEAST: u32 = 12;

/// The same in a list when nobody says: half hours, as many as are told apart on the width of a cell of a table.
pub const STOCK_HISTORY_POINTS_LISTED: u32 = 48;

/// Longest time between two checks of a dataset in stock: a week, as long as evidence may count as fresh.
pub const STOCK_CHECK_S: u64 = FRESH_FOR_S;

/// Shortest time that a window is open: it opens at most once a minute.
pub const WINDOW_LEAST_S: u64 = 60;

/// Longest time that a window is open: a week; what is open for longer needs no window.
pub const WINDOW_S: u64 = 7 * 86_400;

/// Years within which a window must open: a leap day comes every four, but for the turn of a century.
pub const WINDOW_YEARS: i16 = 5;

/// Values that one criterion may allow: more is a range, which is no criterion.
pub const CRITERION_VALUES: usize = 100;

/// Diagnostics of one file that are reported at once. Once there are so many, no more are looked for where finding one
/// costs more than reading.
pub const DIAGNOSTICS: usize = 200;

/// Unknown contracts of one file for which the nearest known one is looked for: there may be thousands of those.
pub const CONTRACTS_LOOKED_FOR: usize = 20;

// Trees.

/// A supplier that has nothing to say for longer than a day has forgotten the task.
pub const AGAIN_MS: u64 = 86_400_000;

/// A supplier that wants to be asked again at once is asked again at this pace.
pub const AGAIN_LEAST_MS: u64 = 20;

/// Children of one orchestrator: each is a dataset to make, check, show and undo.
pub const OBTAINED: usize = 100;

/// Late results kept of one part; a supplier that gives more different answers under one key is broken.
pub const ORPHANS: usize = 100;

/// How deep datasets nest, obtained children included.
pub const TREE_DEPTH: usize = 5;

/// Entities that one tree may own: one for each part that it may have. Each is a row while it is leased, and all of them
/// are written by the transaction that grants.
pub const TREE_ENTITIES: usize = 10_000;

/// How often a service is asked for existing data of one dataset: whoever has it answer with what is taken three times in a
/// row has made it sooner than it looks through the rest.
pub const FIND_ASKS: u32 = 3;

/// Entities that a service is told not to answer with: a screen of ids to a query, the newest of those that datasets have.
/// What is beyond is refused when it is the answer.
pub const FIND_EXCLUDED: usize = 1_000;

/// Entities of refused answers that are kept with a part: what one answer may name.
pub const FIND_REFUSED: usize = ENTITIES;

/// Rows of one import: one transaction of the one writer, which others wait for; a tenth of a second.
pub const IMPORT_ROWS: usize = 1_000;

/// Extensions of one lease, those that failed included: the steps of one test after its data was made. More are a scenario
/// that nobody has written down.
pub const EXTENSIONS: usize = 20;

/// Children of one tree that are looked for in stock at once: a handful of dear parts, not the thousand turns of a loop, each of
/// which would be looked for alone.
pub const SOUGHT: usize = 16;

/// How long a child is looked for in stock before it is made: a look takes milliseconds, and who has not answered by then is
/// not going to.
pub const SOUGHT_MS: u64 = 2_000;

/// Parts of one tree: it is read and shown as a whole.
pub const TREE_PARTS: usize = 10_000;

/// Differences of a dataset that was made again that are listed; more are counted. Whoever sees a hundred knows that it is
/// another state.
pub const RERUN_DIFFERENCES: usize = 100;

// Statistics.

/// Requests and datasets that the statistics of one contract are told from: nine of ten are told to the tenth, and reading so many
/// takes some milliseconds.
pub const STATISTICS_SAMPLES: u32 = 200;

/// The same where the contracts of a whole page are told: enough for a median, and a page of a hundred takes some dozens of
/// milliseconds.
pub const STATISTICS_LISTED_SAMPLES: u32 = 30;

/// Reasons of failures that are told of one contract: more than anybody reads.
pub const STATISTICS_CAUSES: usize = 10;
