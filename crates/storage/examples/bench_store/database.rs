//! A database of PostgreSQL: run for others, given a long history, and held on to as somebody does who reads for a long time.

use std::error::Error;
use std::io::Write;
use std::time::Instant;

use serde_json::{Map, Value, json};
use sixpack_storage::conformance::{PgBouncer, PostgresServer};
use sixpack_storage::postgres::Address;
use tokio_postgres::{Client, NoTls};

use crate::GONE;

/// Copies lie so far back: within what is kept by default, and over the partitions of several weeks.
const SPAN_MS: i64 = 21 * 86_400_000;

/// Rows that are written by one commit, about.
const ROWS_A_COMMIT: u64 = 200_000;

/// What is copied of a dataset that has ended: the table, which of its rows, and what in them names a row.
const COPIED: [(&str, &str, &[&str]); 5] = [
    ("request", "id IN (SELECT request FROM asked)", &["id"]),
    ("tree", "id IN (SELECT tree FROM ended)", &["id", "request", "lease"]),
    ("dataset", "tree IN (SELECT tree FROM ended)", &["tree"]),
    ("lease", "tree IN (SELECT tree FROM ended)", &["id", "tree", "request"]),
    (
        "event",
        "tree IN (SELECT tree FROM ended) OR (tree IS NULL AND request IN (SELECT request FROM asked))",
        &["request", "tree"],
    ),
];

/// Runs a database until the standard input ends; its address is the only line that is printed.
pub(crate) fn run(settings: &[&str]) -> Result<(), Box<dyn Error>> {
    let server = PostgresServer::start(settings);
    run_at(&server.url())
}

/// The same behind a pooler that lets as many connections through as three servers ask for.
pub(crate) fn run_pooled(settings: &[&str]) -> Result<(), Box<dyn Error>> {
    let server = PostgresServer::start(settings);
    let pooler = PgBouncer::start(&server, &["default_pool_size = 60"]);
    run_at(&pooler.url())
}

fn run_at(url: &str) -> Result<(), Box<dyn Error>> {
    writeln!(std::io::stdout(), "{url}")?;
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
    Ok(())
}

/// How much is copied.
pub(crate) enum Copies {
    /// Until the copies have so many rows.
    Rows(u64),
    /// Until they are so many datasets.
    Datasets(u64),
}

/// Copies what has ended in the store at `url` until the copies have so many rows.
pub(crate) async fn history(url: &str, rows: u64) -> Result<Value, Box<dyn Error>> {
    multiply(&connect(url).await?, Copies::Rows(rows)).await
}

/// Copies what has ended, by the columns that the tables have.
///
/// Copies are as old as they would be had their originals been made one after another, over three weeks. No server may run over
/// the store: events get their numbers without telling anybody.
pub(crate) async fn multiply(client: &Client, wanted: Copies) -> Result<Value, Box<dyn Error>> {
    let begun = Instant::now();
    client.batch_execute(&choosing()).await?;
    let originals = count(client, "ended").await?;
    let mut statements = Vec::new();
    let mut each = 0;
    for (table, which, ids) in COPIED {
        client
            .batch_execute(&format!("CREATE TEMP TABLE old_{table} AS SELECT * FROM {table} WHERE {which}"))
            .await?;
        each += count(client, &format!("old_{table}")).await?;
        statements.push(copying(client, table, ids).await?);
    }
    if originals == 0 {
        return Err("nothing has ended in this store, so that there is nothing to copy".into());
    }
    let copies = match wanted {
        Copies::Rows(rows) => rows.div_ceil(each),
        Copies::Datasets(datasets) => datasets.div_ceil(originals),
    };
    write_copies(client, &statements, i64::try_from(copies)?, each).await?;
    let written_s = begun.elapsed().as_secs_f64();
    // As a database is that has come to this over weeks: looked at, counted, and on the disk.
    client.batch_execute("VACUUM (ANALYZE)").await?;
    client.batch_execute("CHECKPOINT").await?;
    let mut tables = Map::new();
    for (table, ..) in COPIED {
        tables.insert(table.to_owned(), count(client, table).await?.into());
    }
    let bytes: i64 = client.query_one("SELECT pg_database_size(current_database())", &[]).await?.get(0);
    Ok(json!({
        "originals": originals, "copies_of_each": copies, "copied_rows": each * copies, "rows": tables,
        "bytes": bytes, "written_s": written_s.round(), "settled_s": (begun.elapsed().as_secs_f64() - written_s).round(),
    }))
}

/// What tells originals, gives copies their ids, and makes the weeks of their events.
fn choosing() -> String {
    format!(
        "CREATE TEMP TABLE ended AS SELECT id AS tree, request FROM tree WHERE status = {GONE};
         CREATE TEMP TABLE asked AS SELECT DISTINCT r.id AS request FROM request r
             JOIN event e ON e.request = r.id JOIN ended ON ended.tree = e.tree WHERE r.status > 1;
         CREATE FUNCTION pg_temp.older(id uuid, ms bigint) RETURNS uuid LANGUAGE sql IMMUTABLE STRICT AS $$
             SELECT (lpad(to_hex(('x' || left(replace(id::text, '-', ''), 12))::bit(48)::bigint - ms), 12, '0')
                     || substr(replace(id::text, '-', ''), 13))::uuid $$;
         SELECT make_event_weeks(sixpack_now() - {SPAN_MS} - 604800000, sixpack_now())"
    )
}

/// Writes all copies, the oldest first, so that numbers of events grow with their time.
async fn write_copies(
    client: &Client,
    statements: &[String],
    copies: i64,
    each: u64,
) -> Result<(), Box<dyn Error>> {
    let step_ms = (SPAN_MS / copies.max(1)).max(1);
    let at_once = i64::try_from((ROWS_A_COMMIT / each).max(1))?;
    let mut last = copies;
    while last > 0 {
        let first = (last - at_once).max(0) + 1;
        client.batch_execute("BEGIN").await?;
        for statement in statements {
            client.execute(statement, &[&first, &last, &step_ms]).await?;
        }
        client.batch_execute("COMMIT").await?;
        last = first - 1;
    }
    Ok(())
}

/// Reads once in a transaction that sees only what there was then, says so, and stays in it until the standard input ends. Then it
/// tells how far behind it has fallen, and what could not be taken away meanwhile.
pub(crate) async fn hold_a_snapshot(url: &str) -> Result<Value, Box<dyn Error>> {
    let client = connect(url).await?;
    let begun = Instant::now();
    client.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    count(&client, "environment").await?;
    writeln!(std::io::stdout(), "{}", json!({ "taken": true }))?;
    std::io::stdout().flush()?;
    tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink())).await??;
    let held_s = begun.elapsed().as_secs_f64();
    let behind = "SELECT age(backend_xmin)::bigint FROM pg_stat_activity WHERE pid = pg_backend_pid()";
    let behind: i64 = client.query_one(behind, &[]).await?.get(0);
    let dead = "SELECT relname::text, n_dead_tup FROM pg_stat_user_tables
                WHERE schemaname = current_schema() AND n_dead_tup > 0 ORDER BY n_dead_tup DESC LIMIT 8";
    let dead: Map<String, Value> =
        client.query(dead, &[]).await?.iter().map(|row| (row.get(0), row.get::<_, i64>(1).into())).collect();
    client.batch_execute("COMMIT").await?;
    Ok(json!({ "held_s": held_s.round(), "transactions_behind": behind, "dead_rows": dead }))
}

/// The statement that copies the rows of a table: `$1` and `$2` are the first and the last copy, `$3` is how much older each is
/// than the one before.
async fn copying(client: &Client, table: &str, ids: &[&str]) -> Result<String, Box<dyn Error>> {
    let names = columns(client, table).await?;
    let shift = "n * $3::bigint";
    let value = |name: &String| match name.as_str() {
        "sequence" => "nextval('event_sequence')".to_owned(),
        name if ids.contains(&name) => format!("pg_temp.older({name}, {shift})"),
        name if name == "at" || name.ends_with("_at") => format!("{name} - {shift}"),
        name => name.to_owned(),
    };
    let values: Vec<String> = names.iter().map(value).collect();
    let ordered = if table == "event" { "n DESC, sequence" } else { "n DESC" };
    Ok(format!(
        "INSERT INTO {table} ({}) SELECT {} FROM (
             SELECT * FROM old_{table}, generate_series($1::bigint, $2::bigint) AS n ORDER BY {ordered}) AS copied",
        names.join(", "),
        values.join(", ")
    ))
}

/// The columns of a table, as it has them.
pub(crate) async fn columns(client: &Client, table: &str) -> Result<Vec<String>, Box<dyn Error>> {
    let names = "SELECT attname::text FROM pg_attribute
                 WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped ORDER BY attnum";
    Ok(client.query(names, &[&table]).await?.iter().map(|row| row.get(0)).collect())
}

async fn count(client: &Client, rows: &str) -> Result<u64, Box<dyn Error>> {
    let count: i64 = client.query_one(&format!("SELECT count(*) FROM {rows}"), &[]).await?.get(0);
    Ok(count.unsigned_abs())
}

/// A connection of somebody else than a server, in the schema of the store.
async fn connect(url: &str) -> Result<Client, Box<dyn Error>> {
    let address: Address = url.parse()?;
    let (plain, _) = url.split_once('?').unwrap_or((url, ""));
    connect_to(plain, address.schema()).await
}

/// The same, in this schema.
pub(crate) async fn connect_to(url: &str, schema: &str) -> Result<Client, Box<dyn Error>> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    client.batch_execute(&format!("SET search_path = {schema}")).await?;
    Ok(client)
}
