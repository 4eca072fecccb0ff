//! Queues: where tasks of a capability wait, and who is parked for them.

use std::sync::Arc;

use sixpack_model::channel::is_of_channel;
use sixpack_model::name::ContractName;
use sixpack_model::tree::Tree;

/// What a queue is known by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Queue {
    environment: Arc<str>,
    /// The capability.
    contract: Arc<str>,
    /// Set for the queue of a supplier under development.
    channel: Option<Arc<str>>,
}

impl Queue {
    pub(crate) fn new(environment: &Arc<str>, contract: &str, channel: Option<&Arc<str>>) -> Self {
        let (environment, channel) = (Arc::clone(environment), channel.cloned());
        Self { environment, contract: Arc::from(contract), channel }
    }

    /// Environment, capability and channel.
    pub(crate) fn parts(&self) -> (&Arc<str>, &Arc<str>, Option<&Arc<str>>) {
        (&self.environment, &self.contract, self.channel.as_ref())
    }

    /// Where a task about a part of a tree waits.
    pub(crate) fn of(tree: &Tree, contract: &ContractName, version: u32) -> Self {
        let channel = tree.channel.as_ref().filter(|_| is_of_channel(version));
        Self::new(&tree.environment, &contract.to_string(), channel)
    }

    /// Where a task goes that can be done without its channel, when nobody is left there.
    pub(super) fn deployed(&self) -> Option<Self> {
        self.channel.is_some().then(|| Self { channel: None, ..self.clone() })
    }
}
