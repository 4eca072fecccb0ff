//! Seed: a server with a thousand contracts and a hundred thousand datasets, to look at the pages with.
//!
//! Everything is made through the API by suppliers that are really connected, so that there is no state in it which the product
//! cannot be in.

mod life;
mod world;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::ensure;
use serde_json::json;
use sixpack::Running;

use crate::api::Api;
use crate::processes::Server;
use world::{Build, CONTRACTS, World};

/// How much is seeded, and where.
pub(crate) struct Wish {
    /// The server's binary.
    pub(crate) server: PathBuf,
    /// Where the server keeps what it has; a folder that is removed at the end when it is left out.
    pub(crate) folder: Option<PathBuf>,
    /// How many contracts.
    pub(crate) contracts: usize,
    /// How many datasets, about.
    pub(crate) datasets: usize,
    /// End when everything is there.
    pub(crate) once: bool,
}

/// Seeds, says where, and stays until a signal comes.
pub(crate) async fn run(wish: &Wish, say: impl Fn(&str)) -> anyhow::Result<()> {
    let (least, most) = (CONTRACTS.start(), CONTRACTS.end());
    ensure!(CONTRACTS.contains(&wish.contracts), "there can be {least} to {most} contracts");
    let temporary = tempfile::tempdir()?;
    let folder = wish.folder.as_deref().unwrap_or_else(|| temporary.path());
    ensure!(!folder.join("data").exists(), "{} has data in it; name a folder that is new", folder.display());
    std::fs::create_dir_all(folder)?;
    let begun = Instant::now();
    let server = Server::start(&wish.server, folder).await?;
    let api = server.api()?;
    let suppliers = fill(&api, wish, &say).await?;
    let told = json!({
        "url": format!("http://{}", api.address()), "token": api.token(), "contracts": wish.contracts,
        "datasets": wish.datasets, "seconds": begun.elapsed().as_secs(),
    });
    say(&told.to_string());
    if !wish.once {
        say(&format!("look at it: http://{}/sign-in#{}  (ctrl-c ends it)", api.address(), api.token()));
        tokio::signal::ctrl_c().await?;
    }
    for supplier in suppliers {
        supplier.drain().await?;
    }
    drop(server);
    Ok(())
}

/// Seeds a server; returns the suppliers that stay.
async fn fill(api: &Api, wish: &Wish, say: &impl Fn(&str)) -> anyhow::Result<Vec<Running>> {
    let world = World::new(api, wish.contracts);
    let domains = world.domains();
    let mut suppliers = Vec::with_capacity(domains.len());
    for domain in domains {
        suppliers.push(world.supplier(domain, Build::First).await?);
    }
    for files in world.scenarios().chunks(200) {
        let reply = api.post("/v1/environments/default/apply", &json!({ "files": files }), None).await?;
        ensure!(reply.status == 200, "the scenarios were refused: {} {}", reply.status, reply.body);
    }
    say(&format!("{} contracts are published; {} datasets are made now", wish.contracts, wish.datasets));
    life::happen(api, &world, wish.datasets).await?;
    world.drift();
    life::find_drift(api, domains).await?;
    // Domains go on: one build takes more, one breaks scenarios of others, and some suppliers are away.
    if let [.., away, _, wider] = domains {
        // One of those that others build on.
        let breaks = &domains[domains.len() / 5];
        for (domain, build) in [(wider, Build::Wider), (breaks, Build::Renamed)] {
            let newer = world.supplier(domain, build).await?;
            replace(&mut suppliers, domains, domain, Some(newer)).await?;
        }
        replace(&mut suppliers, domains, away, None).await?;
    }
    suppliers.push(world.supplier_in(domains[0], "ada-laptop").await?);
    Ok(suppliers)
}

/// Lets a newer supplier of a domain take the place of the older one, or nobody.
async fn replace(
    suppliers: &mut Vec<Running>,
    domains: &[&str],
    domain: &str,
    newer: Option<Running>,
) -> anyhow::Result<()> {
    let Some(place) = domains.iter().position(|known| *known == domain) else { return Ok(()) };
    // Those that stay have changed places only at the end, so that the place of a domain is found as long as nobody went.
    match newer {
        Some(newer) => std::mem::replace(&mut suppliers[place], newer).drain().await?,
        None => suppliers.remove(place).drain().await?,
    }
    Ok(())
}
