//! Services: what live sessions perform, and what becomes of waiting tasks when one goes.

use sixpack_model::ids::SessionId;

use super::columns::{Int, int, number};
use super::faults::Fault;
use super::writer::Tx;
use crate::sessions::Service;
use crate::stored::tasks::ServiceRow;

impl Tx {
    /// The contracts and queues of what a session will perform, in the order of its services.
    pub(super) async fn queues_for(
        &mut self,
        environment: i64,
        channel: &str,
        services: &[Service],
    ) -> Result<Vec<(i64, i64)>, Fault> {
        let mut queues = Vec::with_capacity(services.len());
        for service in services {
            let contract = self.contract(environment, &service.contract).await?;
            queues.push((contract, self.named_queue(contract, channel).await?));
        }
        Ok(queues)
    }

    /// Notes what a session performs, whose queues are locked; the limits of the target are those of whoever registered last.
    pub(super) async fn serve(
        &mut self,
        session: SessionId,
        channel: &str,
        services: &[Service],
        queues: &[(i64, i64)],
    ) -> Result<(), Fault> {
        for (service, (contract, queue)) in services.iter().zip(queues) {
            let limit = "UPDATE queue SET concurrency = $2, rate_per_s = $3, timeout_ms = $4 WHERE id = $1";
            let insert = "INSERT INTO session_service (session, queue, oldest_version, version) VALUES ($1, $2, $3, $4)";
            let (oldest_version, version) = (service.oldest_version.into(), service.version.into());
            let concurrency = service.concurrency.map(Int::from);
            futures::future::try_join(
                self.connection
                    .run(limit, &[queue, &concurrency, &service.rate_per_s, &int(service.timeout_ms)]),
                self.connection.run(insert, &[&session.0, queue, &oldest_version, &version]),
            )
            .await?;
            if !channel.is_empty() {
                let service = ServiceRow { queue: *queue, oldest_version, version };
                self.return_to_channel(*contract, channel, &service).await?;
            }
        }
        Ok(())
    }

    /// The queues that sessions serve.
    pub(super) async fn queues_of(&self, sessions: &[SessionId]) -> Result<Vec<i64>, Fault> {
        let sessions: Vec<_> = sessions.iter().map(|session| session.0).collect();
        let list = "SELECT DISTINCT queue FROM session_service WHERE session = ANY ($1) ORDER BY queue";
        self.connection.all(list, &[&sessions], |row| number(row, 0)).await
    }

    /// Forgets what a session performs, because it takes no tasks any more. What waits for a channel in which nobody is
    /// left goes to the deployed suppliers as far as they can do it. The session is locked, and so are its queues.
    pub(super) async fn unserve(&mut self, session: SessionId) -> Result<(), Fault> {
        let queues = self.queues_of(&[session]).await?;
        let forget = "DELETE FROM session_service WHERE session = $1";
        self.connection.later(forget, &[&session.0]).await?;
        let left = "UPDATE queue SET served_until = greatest(served_until, $2) WHERE id = ANY ($1)";
        self.connection.later(left, &[&queues, &self.now]).await?;
        for queue in queues {
            self.leave_channel(queue).await?;
        }
        Ok(())
    }
}
