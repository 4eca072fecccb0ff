//! Room: what happens to everything when there is none on the disk, and when there is some again.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use super::super::journal::Journal;
use super::super::strikes::Strike;
use super::{CALL_LIMIT, Cluster};
use crate::api::Reply;
use crate::disk::Disk;
use crate::postgres::Postgres;

/// No more can be written for so many milliseconds: some calls of everybody.
const FULL_MS: std::ops::Range<u64> = 300..1_500;

/// It stays full so much longer, until a write was refused: a log that is written anew has room in its file for a while.
const REFUSAL_LIMIT: Duration = Duration::from_secs(10);

impl Cluster {
    /// Leaves no room for a while. Everything goes on by itself afterwards, but for a database that has ended for want of it, which
    /// whoever supervises it starts again.
    pub(super) async fn fill_disk(&mut self, strike: Strike, journal: &Journal) -> anyhow::Result<bool> {
        // One that stands still would answer nothing, whatever its disk is like.
        let going: Vec<usize> =
            (0..self.servers.len()).filter(|&number| self.servers[number].goes_on()).collect();
        let Some(disk) = self.disk() else { return Ok(false) };
        if going.is_empty() {
            return Ok(false);
        }
        let ended_before = self.database.as_ref().map_or(Ok(0), Postgres::panics)?;
        disk.take_all_room()?;
        if let (Strike::DatabaseLogFull, Some(database)) = (strike, &self.database) {
            database.write_log_until_it_ends().await?;
        }
        // One whose database has ended refuses nothing for want of room.
        let limit = if strike == Strike::DiskFull { REFUSAL_LIMIT } else { Duration::ZERO };
        self.refused_without_room += self.read_without_room(&going, journal, limit).await? as u64;
        self.disk().context("the disk is gone")?.give_room()?;
        if let Some(database) = &mut self.database {
            database.restart_if_ended().await?;
            self.ended_without_room += u32::from(database.panics()? > ended_before);
        }
        for number in going {
            self.wait_until_one_is_ready(number).await?;
        }
        self.found_room += 1;
        Ok(true)
    }

    /// Waits until a server is ready again, which never ends over a full disk.
    async fn wait_until_one_is_ready(&mut self, number: usize) -> anyhow::Result<()> {
        let server = &mut self.servers[number].process;
        let api = self.api.through(server.address().to_owned(), CALL_LIMIT);
        let limit = Instant::now() + CALL_LIMIT;
        loop {
            if let Some(status) = server.restart_if_ended().await? {
                self.wrong.push(format!("with a full disk, server {number} ended with {status}"));
            }
            if api.is_ready().await {
                return Ok(());
            }
            ensure!(
                Instant::now() < limit,
                "{} is not ready although its store has room again",
                api.address()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Reads through each of these servers for a while, and until somebody's write was refused or so much time has passed; how many
    /// were. What is there can be read all the time, unless the database has ended.
    async fn read_without_room(
        &mut self,
        going: &[usize],
        journal: &Journal,
        limit: Duration,
    ) -> anyhow::Result<usize> {
        let refused_by_all = self.database.is_some();
        // SQLite may have no room for the end of a commit, of which the server cannot say whether it is done.
        let codes: &[&str] =
            if refused_by_all { &["storage_full"] } else { &["storage_full", "unavailable"] };
        let begun = Instant::now();
        let least = Duration::from_millis(fastrand::u64(FULL_MS));
        let seen = journal.calls();
        let mut refused = 0;
        while begun.elapsed() < least || (refused == 0 && begun.elapsed() < limit) {
            for &number in going {
                let api = self.api.through(self.servers[number].process.address().to_owned(), CALL_LIMIT);
                let read = api.look("/v1/leases?limit=1").await;
                let is_fine = |reply: &Reply| reply.status == 200 || (refused_by_all && reply.status == 503);
                if !read.as_ref().is_ok_and(is_fine) {
                    self.wrong.push(format!("with a full disk, leases could not be read: {read:?}"));
                }
            }
            refused = journal.refused(seen, codes);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(refused)
    }

    /// The disk that the store lies on, where the trial may have one of its own.
    pub(super) fn disk(&self) -> Option<&Disk> {
        self.disk.as_ref().or_else(|| self.database.as_ref()?.disk())
    }
}
