//! Room: what happens to everything when there is none on the disk, and when there is some again.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use super::super::strikes::Strike;
use super::{CALL_LIMIT, Cluster};
use crate::api::Reply;
use crate::disk::Disk;
use crate::postgres::Postgres;
use crate::processes::STORE_IN_DOUBT;

/// No more can be written for so many milliseconds: some calls of everybody.
const FULL_MS: std::ops::Range<u64> = 300..1_500;

/// A server that cannot know what is on its disk has ended after so long.
const ENDING_LIMIT: Duration = Duration::from_secs(5);

impl Cluster {
    /// Leaves no room for a while. Everything goes on by itself afterwards, but for what has ended for want of it, which whoever
    /// supervises it starts again: a database, or a server that cannot know whether its last commit is in the log.
    pub(super) async fn fill_disk(&mut self, strike: Strike) -> anyhow::Result<bool> {
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
        let mut wrong = self.read_without_room(&going).await?;
        self.wrong.append(&mut wrong);
        self.disk().context("the disk is gone")?.give_room()?;
        if let Some(database) = &mut self.database {
            database.restart_if_ended().await?;
            self.ended_without_room += u32::from(database.panics()? > ended_before);
        }
        for number in going {
            self.supervise_until_ready(number).await?;
        }
        self.found_room += 1;
        Ok(true)
    }

    /// Waits until a server is ready; it may have ended, or be about to, because it cannot know what is on its disk.
    async fn supervise_until_ready(&mut self, number: usize) -> anyhow::Result<()> {
        let server = &mut self.servers[number].process;
        let api = self.api.through(server.address().to_owned(), CALL_LIMIT);
        let limit = Instant::now() + CALL_LIMIT;
        loop {
            match server.restart_if_ended().await? {
                // With a database, nothing that a server writes itself lies on that disk.
                Some(status) if self.database.is_none() && status.code() == Some(STORE_IN_DOUBT) => {
                    self.in_doubt_without_room += 1;
                }
                Some(status) => {
                    self.wrong.push(format!("with a full disk, server {number} ended with {status}"));
                }
                None => {}
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

    /// Reads through each of these servers for a while; returns what could not be read. What is there can be read all the time, unless
    /// the database or the server has ended.
    async fn read_without_room(&mut self, going: &[usize]) -> anyhow::Result<Vec<String>> {
        let refused_by_all = self.database.is_some();
        let until = Instant::now() + Duration::from_millis(fastrand::u64(FULL_MS));
        let mut wrong = Vec::new();
        while Instant::now() < until {
            for &number in going {
                let server = &mut self.servers[number].process;
                let api = self.api.through(server.address().to_owned(), CALL_LIMIT);
                let read = api.look("/v1/leases?limit=1").await;
                let is_fine = |reply: &Reply| reply.status == 200 || (refused_by_all && reply.status == 503);
                if !read.as_ref().is_ok_and(is_fine) && !server.ends_within(ENDING_LIMIT).await {
                    wrong.push(format!("with a full disk, leases could not be read: {read:?}"));
                }
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(wrong)
    }

    /// The disk that the store lies on, where the trial may have one of its own.
    pub(super) fn disk(&self) -> Option<&Disk> {
        self.disk.as_ref().or_else(|| self.database.as_ref()?.disk())
    }
}
