//! Vacancies: a unit of a request whose dataset could not be handed over is given another one, or ends it.

use std::collections::BTreeSet;
use std::sync::Arc;

use sixpack_model::failure::{Failure, FailureClass};
use sixpack_model::ids::{LeaseId, RequestId, TreeId};
use sixpack_model::plan;
use sixpack_model::request::{Request, RequestStatus, Source};
use sixpack_model::tree::{PartStatus, Tree};
use sixpack_storage::requests::{Filled, Looking, UnitFill};

use crate::joining::sought_by;
use crate::rechecks::HAND_OVER_ALLOWED_MS;
use crate::refusal::Refusal;
use crate::requests::{Accepted, Fulfilment, Outlook, first_change};
use crate::sweeps::Outcome;
use crate::{Engine, mint};

/// The code of a failure that says that stock has nothing more to give; that of the refusal of the same kind.
const OUT_OF_STOCK: &str = "out_of_stock";

/// Rows that one look takes.
const PAGE: u32 = 200;

impl Engine {
    /// Gives other datasets to units whose own was found not to hold.
    pub(crate) async fn fill_vacant_units(&self) -> Result<(), Refusal> {
        let mut after = None;
        let mut outcome = Outcome::default();
        loop {
            let page = self.store().vacant_units(after, PAGE).await?;
            let Some(last) = page.last() else { return outcome.told() };
            after = Some(*last);
            for (request, unit) in page {
                outcome.keep(self.fill_unit(request, unit, None).await)?;
            }
        }
    }

    /// Gives another dataset to the unit of a request whose own could not be handed over, which stands as it was decided.
    pub(crate) fn fill_after(&self, tree: Arc<Tree>) {
        let engine = self.clone();
        tokio::spawn(async move {
            let root = tree.root();
            let failure = match &root.failure {
                None if root.status == PartStatus::Ready => match engine.shelf_of(&tree).await {
                    Ok(Some(shelf)) => plan::unconfirmed(&tree, &*shelf),
                    Ok(None) | Err(_) => None,
                },
                known => known.clone(),
            };
            if root.status == PartStatus::Ready {
                let before = engine.inner.trees.unconfirmed.get(&tree.request).unwrap_or_default();
                let all = before.iter().copied().chain([tree.id]).collect();
                engine.inner.trees.unconfirmed.insert(tree.request, Arc::new(all));
            }
            // Found again by the sweep if it does not come to its end.
            if let Err(error) = engine.fill_unit(tree.request, tree.unit, failure).await {
                tracing::warn!(request = %tree.request, %error, "a unit could not be given another dataset");
            }
        });
    }

    /// Gives another dataset to a unit whose own was found not to hold, because of this failure.
    pub(crate) async fn fill_unit(
        &self,
        id: RequestId,
        unit: u32,
        failure: Option<Failure>,
    ) -> Result<(), Refusal> {
        let Some(request) = self.store().request(id).await?.filter(|request| !request.has_ended()) else {
            return Ok(());
        };
        self.catch_up().await?;
        let Some(shelf) = self.shelf(&request.environment) else { return Ok(()) };
        let wanted = &request.units[unit as usize];
        let now = self.store().now().await?;
        let Ok(contract) = shelf.requestable(&wanted.contract) else {
            return self.fail_for_want(&request, failure, "its contract is not offered any more").await;
        };
        let accepted: Accepted = (contract, Arc::clone(&wanted.input));
        let wish = || {
            let given = wanted.given.as_ref().unwrap_or(&wanted.input);
            let asked = (&*accepted.0, &**given, &*accepted.1);
            self.inner.stock.wish(&request.environment, &shelf, asked, &request.selection, now)
        };
        let wish = if request.source == Source::FindFirst { None } else { wish() };
        let makes = request.makes();
        let line = wish.as_ref().and_then(|wish| wish.lines.iter().find(|line| line.same_input));
        let line = line.map(|line| line.id);
        let on = Outlook { shelf: &shelf, stock: Some(&self.inner.stock), line, now };
        let tree = makes.then(|| first_change(&request, unit, &accepted, on));
        let (offers, sought) = (self.offers(&tree), sought_by(&tree));
        let planned = tree.as_ref().map(|change| Arc::clone(&change.tree));
        if let Some(tree) = &planned {
            self.inner.trees.expect(tree);
        }
        let but = self.inner.trees.unconfirmed.get(&id).unwrap_or_default();
        let waited_ms = now.duration_since(request.created_at).as_millis();
        let looking = match makes {
            true => Looking::Anywhere,
            // Whoever may not wait has waited for one service that does not answer: only what needs no asking will do.
            false if !but.is_empty() && waited_ms >= i128::from(HAND_OVER_ALLOWED_MS) => Looking::Fresh,
            false => Looking::InStock,
        };
        let leases = request.units.iter().map(|_| LeaseId(mint::id(now))).collect();
        let but = BTreeSet::clone(&but);
        let fill = UnitFill { request: id, unit, wish, looking, but, tree, leases };
        let (filled, offered) = self.commit_with_offers(self.store().fill_unit(fill), offers).await;
        if let Some(tree) = &planned {
            self.inner.trees.expect_no_more(tree.id);
        }
        self.inner.trees.members.invalidate(&id);
        match &filled {
            Ok(Filled::Served(served)) => {
                for taken in &served.taken {
                    self.inner.trees.taken(&request, taken, None);
                    self.inner.stock.tend(taken.line);
                }
                if let Some(leases) = &served.leases {
                    let trees: Vec<TreeId> = leases.iter().map(|lease| lease.tree).collect();
                    self.inner.trees.forget(&trees);
                    let told = || Fulfilment { revision: request.revision + 1, leases: leases.clone() };
                    self.inner.ended.tell(id, told);
                }
                self.hand_over(&request, served);
            }
            Ok(Filled::Made) => planned.iter().for_each(|tree| self.inner.trees.keep(tree)),
            Ok(Filled::Short) => {
                let doubted = self.doubted_in(&request.environment, &shelf, &accepted.0).await?;
                let why = match doubted {
                    Some(doubted) => doubted.told(),
                    None => "there is no other in stock".to_owned(),
                };
                self.fail_for_want(&request, failure, &why).await?;
            }
            Ok(Filled::NotVacant) | Err(_) => {}
        }
        self.wake_request(id);
        self.beat();
        self.hand_out(offered).await;
        if matches!(filled, Ok(Filled::Made)) {
            self.seek_all(sought).await;
        }
        filled.map(|_| ()).map_err(Refusal::from)
    }

    /// What was in stock does not hold, and nothing can take its place.
    async fn fail_for_want(
        &self,
        request: &Request,
        failure: Option<Failure>,
        why: &str,
    ) -> Result<(), Refusal> {
        let unit = request.units.first().expect("a request has at least one unit");
        let shelf = self.shelf(&request.environment).unwrap_or_default();
        let owner = shelf.contract(&unit.contract, unit.version).map(|contract| contract.owner.clone());
        let failure = match failure {
            Some(failure) => {
                // A request that only stock may serve ends the same way, whether it was accepted before or not.
                let code = if request.makes() { failure.code } else { Some(OUT_OF_STOCK.to_owned()) };
                Failure { message: format!("{}; {why}", failure.message), code, ..failure }
            }
            None => Failure {
                path: format!("{}@{}", unit.contract, unit.version),
                class: FailureClass::Check,
                code: Some(OUT_OF_STOCK.to_owned()),
                message: format!("what was in stock could not be handed over; {why}"),
                details: None,
                contract: unit.contract.clone(),
                version: unit.version,
                part: 0,
                owner: owner.unwrap_or_else(|| sixpack_model::contract::Owner {
                    team: unit.contract.domain().to_owned(),
                    contact: None,
                    issues: None,
                }),
                attempts: 0,
                retried: Vec::new(),
                blocked: Vec::new(),
            },
        };
        self.end_request_for(request, RequestStatus::Failed, "request.failed", Some(failure)).await?;
        Ok(())
    }
}
