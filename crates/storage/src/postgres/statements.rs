//! Statements: prepared once a connection, then only bound and run; behind a pooler sent as they are ([`super::pooler`]).
//!
//! What nobody needs the answer of is sent and not waited for ([`Connection::later`]): the database carries out in the sequence in
//! which it was sent, and refuses everything behind a statement that has failed. Whoever waits next, at last the commit, waits for
//! all that was sent before, and gets the first fault.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use deadpool_postgres::Object;
use futures::future::join;
use tokio::time::timeout;
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use super::faults::Fault;
use super::limits::ROLLBACK;
use super::pooler::{Ready, Way};
use super::values::Encoded;
use crate::mutants::{self, Mutant};

/// The values of a statement.
pub(super) type Params<'a> = &'a [&'a (dyn ToSql + Sync)];

/// The answer of the database to what was sent.
type Answer = Pin<Box<dyn Future<Output = Result<u64, tokio_postgres::Error>> + Send>>;

/// A statement that was sent.
struct Sent {
    answer: Answer,
    /// What came of it, once that is known.
    judged: Option<Result<(), Fault>>,
    /// How many rows it has to touch.
    rows: Option<u64>,
    /// What somebody else may have written meanwhile, if it has failed at that.
    taken: Option<&'static str>,
}

impl Sent {
    fn new(answer: Answer, rows: Option<u64>, taken: Option<&'static str>) -> Self {
        Self { answer, judged: None, rows, taken }
    }

    /// Sends it, or reads as much of the answer as there is; true when that is all.
    fn read(&mut self, cx: &mut Context<'_>) -> bool {
        if self.judged.is_none()
            && let Poll::Ready(answer) = self.answer.as_mut().poll(cx)
        {
            self.judged = Some(self.judge(answer));
        }
        self.judged.is_some()
    }

    async fn answered(mut self) -> Result<(), Fault> {
        poll_fn(|cx| if self.read(cx) { Poll::Ready(()) } else { Poll::Pending }).await;
        self.judged.expect("it was read to its end")
    }

    fn judge(&self, answer: Result<u64, tokio_postgres::Error>) -> Result<(), Fault> {
        let rows = answer.map_err(|cause| {
            let fault = Fault::from(cause);
            if let Some(what) = self.taken { fault.or_taken(what) } else { fault }
        })?;
        match (self.rows, self.taken) {
            (Some(due), Some(what)) if due != rows => Err(Fault::Again(what)),
            (Some(due), None) if due != rows => {
                Err(Fault::Wrong(format!("a statement has touched {rows} rows instead of {due}")))
            }
            _ => Ok(()),
        }
    }
}

/// How a commit has ended.
pub(super) enum Committed {
    /// It is done.
    Done,
    /// Nothing was done.
    Undone(Fault),
    /// It was told to be done, and nobody knows whether it was.
    Unknown(Fault),
}

/// A connection of the pool, and short forms for the three ways in which a statement is run.
///
/// Statements are remembered by their text, of which there are only so many: a text is never made from a value. What does not
/// need the answer of the statement before it is sent behind it at once, by [`futures::future::try_join`], which polls in order.
pub(super) struct Connection {
    /// `None` only while it is taken apart.
    client: Option<Arc<Object>>,
    way: Way,
    /// Whether a transaction stands open on it, or an answer is still to come: it is closed then, and not handed to somebody else.
    open: AtomicBool,
    /// Whether a statement has failed: PostgreSQL answers the commit of such a transaction with a silent rollback.
    failed: AtomicBool,
    /// Whether the database has answered anything.
    answered: AtomicBool,
    /// What was sent and not waited for, in its sequence: as much as one transaction writes.
    sent: Mutex<Vec<Sent>>,
    /// Held by whoever makes its statement ready and sends it: what is joined is carried out in the sequence of its first polls, also
    /// when the first has to be prepared and the next is known. Locks are taken in that sequence.
    sending: tokio::sync::Mutex<()>,
}

impl Connection {
    pub(super) fn of(client: Object, way: Way) -> Self {
        Self {
            client: Some(Arc::new(client)),
            way,
            open: AtomicBool::new(false),
            failed: AtomicBool::new(false),
            answered: AtomicBool::new(false),
            sent: Mutex::default(),
            sending: tokio::sync::Mutex::default(),
        }
    }

    /// Runs a change; returns how many rows it touched.
    pub(super) async fn run(&self, sql: &str, params: Params<'_>) -> Result<u64, Fault> {
        // On the heap, because a transaction has dozens of these in one future.
        let run = Box::pin(async {
            let turn = self.sending.lock().await;
            match self.way.ready(self.client(), sql).await? {
                Ready::Kept(statement) => sent(turn, self.client().execute(&statement, params)).await,
                Ready::Once(types) => {
                    sent(turn, self.client().execute_typed(sql, &with_types(params, &types))).await
                }
            }
        });
        self.noted(self.beside_sent(run).await).await
    }

    /// Sends a change, and waits for nothing. Only within a transaction that is written: its commit waits.
    pub(super) async fn later(&self, sql: &str, params: Params<'_>) -> Result<(), Fault> {
        Box::pin(self.send(sql, params, None, None)).await
    }

    /// The same for a change that touches so many rows, unless somebody else has had them meanwhile, or something is wrong.
    pub(super) async fn later_all(
        &self,
        sql: &str,
        params: Params<'_>,
        rows: u64,
        taken: Option<&'static str>,
    ) -> Result<(), Fault> {
        Box::pin(self.send(sql, params, Some(rows), taken)).await
    }

    /// The same for a change that fails when somebody else has written the same.
    pub(super) async fn later_unless_taken(
        &self,
        sql: &str,
        params: Params<'_>,
        what: &'static str,
    ) -> Result<(), Fault> {
        Box::pin(self.send(sql, params, None, Some(what))).await
    }

    async fn send(
        &self,
        sql: &str,
        params: Params<'_>,
        rows: Option<u64>,
        taken: Option<&'static str>,
    ) -> Result<(), Fault> {
        let _turn = self.beside_sent(self.sending.lock()).await;
        let ready = match self.beside_sent(self.way.ready(self.client(), sql)).await {
            Ok(ready) => ready,
            Err(cause) => return self.noted(Err(cause)).await,
        };
        let values = Encoded::all(ready.types(), params)?;
        let client = Arc::clone(self.client());
        let answer: Answer = match ready {
            Ready::Kept(statement) => Box::pin(async move { client.execute_raw(&statement, values).await }),
            Ready::Once(types) => {
                let sql = sql.to_owned();
                Box::pin(async move {
                    let values: Vec<_> = values.iter().map(|value| value as &(dyn ToSql + Sync)).collect();
                    client.execute_typed(&sql, &with_types(&values, &types)).await
                })
            }
        };
        self.keep(Sent::new(answer, rows, taken));
        Ok(())
    }

    /// Sends, and keeps what is to be answered. Nobody is woken by the answer.
    fn keep(&self, mut sent: Sent) {
        sent.read(&mut Context::from_waker(Waker::noop()));
        self.sent().push(sent);
    }

    /// Waits for something with this connection, and reads meanwhile what is answered to what was sent before: the answers come
    /// in one row, and a long one that nobody reads would hold up all behind it.
    async fn beside_sent<F: Future>(&self, waited: F) -> F::Output {
        let mut waited = pin!(waited);
        poll_fn(|cx| {
            for sent in self.sent().iter_mut() {
                sent.read(cx);
            }
            waited.as_mut().poll(cx)
        })
        .await
    }

    /// Reads the first row, if there is one.
    pub(super) async fn one<T>(
        &self,
        sql: &str,
        params: Params<'_>,
        read: impl FnOnce(&Row) -> Result<T, Fault> + Send,
    ) -> Result<Option<T>, Fault> {
        self.query(sql, params).await?.first().map(read).transpose()
    }

    /// Reads every row.
    pub(super) async fn all<T>(
        &self,
        sql: &str,
        params: Params<'_>,
        read: impl FnMut(&Row) -> Result<T, Fault> + Send,
    ) -> Result<Vec<T>, Fault> {
        self.query(sql, params).await?.iter().map(read).collect()
    }

    /// Begins a transaction, and waits for nothing.
    pub(super) fn begin(&self, how: &'static str) {
        self.open.store(true, Ordering::Relaxed);
        let (client, begin) = (Arc::clone(self.client()), self.way.begin(how));
        let answer = Box::pin(async move { client.batch_execute(&begin).await.map(|()| 0) });
        self.keep(Sent::new(answer, None, None));
    }

    /// Begins to read what need not agree, and waits for nothing: each statement sees what was committed when it began. Behind a
    /// pooler a transaction keeps its settings with it.
    pub(super) fn begin_to_read(&self) {
        if self.way.is_pooled() {
            self.begin("BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY");
        }
    }

    /// Ends that, and waits for nothing either: whoever has the connection next comes behind it.
    pub(super) fn end_reading(&self) {
        if self.open.swap(false, Ordering::Relaxed) {
            self.sent().clear();
            let mut ended = pin!(self.client().batch_execute("ROLLBACK"));
            let _ = ended.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        }
    }

    /// Commits, behind all that was sent.
    pub(super) async fn commit(&self) -> Committed {
        // What is known by now, and what has to be known: the database commits whatever it was told.
        if let Err(fault) = self.judge().await {
            self.roll_back().await;
            return Committed::Undone(fault);
        }
        if self.failed.load(Ordering::Relaxed) {
            self.roll_back().await;
            let what = "a transaction goes on behind a statement that failed";
            return Committed::Undone(Fault::Wrong(what.to_owned()));
        }
        let (committed, sent) = join(self.client().batch_execute("COMMIT"), self.settle()).await;
        if committed.is_ok() {
            self.open.store(false, Ordering::Relaxed);
        }
        match (sent, committed.map_err(Fault::from)) {
            // A transaction of which a statement was refused is not committed, whatever the answer to that is.
            (Err(fault), _) if fault.is_answer() => Committed::Undone(fault),
            (Err(fault), _) => Committed::Unknown(fault),
            (Ok(()), Ok(())) => Committed::Done,
            (Ok(()), Err(fault)) if fault.is_refusal() => Committed::Undone(fault),
            (Ok(()), Err(fault)) => Committed::Unknown(fault),
        }
    }

    /// Commits what was sent until here, and begins again, where that is the mistake that is made.
    pub(super) async fn split_for(&self, mutant: Mutant) -> Result<(), Fault> {
        if mutants::on(mutant) {
            self.settle().await?;
            self.client().batch_execute("COMMIT; BEGIN").await?;
        }
        Ok(())
    }

    /// Undoes the transaction. When that fails as well, or takes long, the connection is given up, and the database undoes it.
    pub(super) async fn roll_back(&self) {
        self.sent().clear();
        if let Ok(Ok(())) = timeout(ROLLBACK, self.client().batch_execute("ROLLBACK")).await {
            self.open.store(false, Ordering::Relaxed);
        }
    }

    /// Hands the connection to nobody any more: what was sent on it may never be answered.
    pub(super) fn give_up(&self) {
        self.open.store(true, Ordering::Relaxed);
    }

    /// Takes note of what has been answered, and waits for what has to be known before a commit.
    async fn judge(&self) -> Result<(), Fault> {
        let mut first = Ok(());
        let mut waiting = Vec::new();
        for mut sent in std::mem::take(&mut *self.sent()) {
            sent.read(&mut Context::from_waker(Waker::noop()));
            match sent.judged.take() {
                Some(judged) => {
                    self.answered.fetch_or(judged.is_ok(), Ordering::Relaxed);
                    first = first.and(judged);
                }
                None => waiting.push(sent),
            }
        }
        // A connection that was lost unnoticed is to be found out before the commit, which might have been done otherwise.
        let is_silent = !self.answered.load(Ordering::Relaxed);
        let must_wait = is_silent || waiting.iter().any(|sent| sent.rows.is_some());
        *self.sent() = waiting;
        first?;
        if must_wait { self.settle().await } else { Ok(()) }
    }

    /// Waits for all that was sent; the fault is the first one.
    async fn settle(&self) -> Result<(), Fault> {
        let mut first = Ok(());
        let all = std::mem::take(&mut *self.sent());
        for sent in all {
            first = first.and(sent.answered().await);
        }
        first
    }

    async fn query(&self, sql: &str, params: Params<'_>) -> Result<Vec<Row>, Fault> {
        let query = Box::pin(async {
            let turn = self.sending.lock().await;
            match self.way.ready(self.client(), sql).await? {
                Ready::Kept(statement) => sent(turn, self.client().query(&statement, params)).await,
                Ready::Once(types) => {
                    sent(turn, self.client().query_typed(sql, &with_types(params, &types))).await
                }
            }
        });
        self.noted(self.beside_sent(query).await).await
    }

    /// A statement behind one that has failed is refused as well: the first fault is the one that says why.
    async fn noted<T>(&self, result: Result<T, tokio_postgres::Error>) -> Result<T, Fault> {
        let Err(cause) = result else {
            self.answered.store(true, Ordering::Relaxed);
            return result.map_err(Fault::from);
        };
        self.failed.store(true, Ordering::Relaxed);
        self.settle().await?;
        Err(cause.into())
    }

    fn sent(&self) -> MutexGuard<'_, Vec<Sent>> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn client(&self) -> &Arc<Object> {
        self.client.as_ref().expect("a connection has its client until it is dropped")
    }
}

impl Drop for Connection {
    /// A connection with an open transaction, or one that was given up, is closed instead of handed to somebody else.
    fn drop(&mut self) {
        self.sent().clear();
        if let Some(client) = self.client.take().and_then(Arc::into_inner)
            && self.open.load(Ordering::Relaxed)
        {
            drop(Object::take(client));
        }
    }
}

/// Sends a statement, which its first poll does, and lets the next one be sent before it is answered.
async fn sent<F: Future>(turn: tokio::sync::MutexGuard<'_, ()>, answer: F) -> F::Output {
    let mut answer = pin!(answer);
    let at_once = poll_fn(|cx| Poll::Ready(answer.as_mut().poll(cx))).await;
    drop(turn);
    match at_once {
        Poll::Ready(answered) => answered,
        Poll::Pending => answer.await,
    }
}

/// Values with the types that their statement has for them.
fn with_types<'a>(params: Params<'a>, types: &[Type]) -> Vec<(&'a (dyn ToSql + Sync), Type)> {
    params.iter().copied().zip(types.iter().cloned()).collect()
}

#[cfg(all(test, feature = "conformance"))]
mod tests {
    use super::*;
    use crate::conformance::PostgresServer;
    use crate::durability::Durability;
    use crate::postgres::connections::Connections;
    use crate::postgres::epoch::Epoch;

    #[tokio::test]
    async fn what_is_joined_is_carried_out_in_its_sequence_also_when_the_first_is_not_ready() {
        let server = PostgresServer::shared();
        let address = server.new_address();
        crate::postgres::create(&address, Durability::TestsOnly).await.unwrap();
        let epoch = Epoch::new(crate::postgres::opening::first_row(&address).await.unwrap());
        server.run(&format!("CREATE SEQUENCE {}.turns", address.schema())).await;
        let connection = Connections::new(&address, Way::Direct, &epoch, 1).unwrap().get().await.unwrap();
        let known = "SELECT nextval('turns')";
        let turn = async |sql: &str| {
            let read = |row: &Row| Ok(row.get::<_, i64>(0));
            connection.one(sql, &[], read).await.unwrap().unwrap()
        };
        assert_eq!(turn(known).await, 1);
        for (round, new) in (1..).zip(["SELECT nextval('turns') AS a", "SELECT nextval('turns') AS b"]) {
            let (first, second, third) = futures::join!(turn(new), turn(known), turn(known));
            assert_eq!([first, second, third], [3 * round - 1, 3 * round, 3 * round + 1]);
        }
    }
}
