//! The landscape: four services, a server, five suppliers and two scenarios, all on loopback.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::{Value, json};
use shop::client::{ShopClient, ShopUrls};
use shop::service::{Counts, ServiceName};
use shop::supplier::{self, Team};
use sixpack::wire::{Lease, LeaseFilter, LeaseStatus, NewToken, Role};
use sixpack::{Client, Supplier};
use tokio::process::Command;

use super::processes::Processes;
use super::stage::Stage;

/// How often it is asked whether something has happened.
const ASK_EVERY: Duration = Duration::from_millis(50);
/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where everything that the acts request and apply lives.
pub(super) const ENVIRONMENT: &str = "default";

/// What the demonstration is put together from.
#[derive(Clone, Copy)]
pub(super) struct Parts<'a> {
    /// The program.
    pub(super) sixpack: &'a Path,
    /// The folder of the scenarios.
    pub(super) scenarios: &'a Path,
    /// The file of the stock rule.
    pub(super) stock: &'a Path,
}

/// Everything that the acts need, once it runs.
pub(super) struct Landscape {
    /// All four services.
    pub(super) shop: ShopClient,
    /// Where they are.
    pub(super) urls: ShopUrls,
    /// The server, as a tester sees it.
    pub(super) client: Client,
    server_url: String,
    admin_token: String,
    consumer_token: String,
    /// Of whoever works on billing.
    developer_token: String,
    sixpack: PathBuf,
    stock: PathBuf,
    folder: PathBuf,
}

impl Landscape {
    /// Starts all of it.
    pub(super) async fn start(
        Parts { sixpack, scenarios, stock }: Parts<'_>,
        folder: &Path,
        processes: &mut Processes,
        stage: &Stage,
    ) -> anyhow::Result<Self> {
        let urls = start_services(folder, processes).await?;
        let shop = ShopClient::new(urls.clone())?;
        shop.introduce().await.context("the services could not be told of each other")?;
        stage.say(format!(
            "services   customer {}, order {}, billing {}, delivery {}",
            urls.customer, urls.order, urls.billing, urls.delivery
        ));

        let (server_url, admin_token) = start_server(sixpack, folder, processes).await?;
        stage.say(format!("server     {server_url}, data in {}", folder.display()));

        let admin = Client::new(&server_url, &admin_token)?;
        start_suppliers(&admin, &server_url, &urls, processes).await?;
        stage
            .say("suppliers  customer, order, billing, delivery, qa; each with a token for its domain alone");

        let consumer_token = admin.create_token(&NewToken::new("tester", Role::Consumer)).await?.token;
        let mut wish = NewToken::new("somebody who works on billing", Role::Supplier);
        wish.domain = Some("billing".to_owned());
        let developer_token = admin.create_token(&wish).await?.token;
        let client = Client::new(&server_url, &consumer_token)?;
        let landscape = Self {
            shop,
            urls,
            client,
            server_url,
            admin_token,
            consumer_token,
            developer_token,
            sixpack: sixpack.to_owned(),
            stock: stock.to_owned(),
            folder: folder.to_owned(),
        };
        landscape.apply(scenarios, stage).await?;
        Ok(landscape)
    }

    /// The command line `sixpack …` of a tester, which prints to our output if that is for people.
    pub(super) async fn sixpack(&self, arguments: &[&str], stage: &Stage) -> anyhow::Result<Option<i32>> {
        stage.say(format!("$ sixpack {}", shown(arguments)));
        self.run(arguments, &self.consumer_token, stage).await
    }

    /// The same of an administrator, who may also put and delete stock rules.
    pub(super) async fn administer(&self, arguments: &[&str], stage: &Stage) -> anyhow::Result<Option<i32>> {
        stage.say(format!("$ sixpack {}", shown(arguments)));
        self.run(arguments, &self.admin_token, stage).await
    }

    /// The live lease of this holder, with its data.
    pub(super) async fn lease_of(&self, holder: &str) -> anyhow::Result<Lease> {
        let filter = LeaseFilter {
            status: Some(LeaseStatus::Held),
            holder: Some(holder.to_owned()),
            ..LeaseFilter::default()
        };
        let found = self.client.leases(&filter).await?.items.into_iter().next();
        Ok(self.client.lease(&found.context("there is no lease of this holder")?.id).await?)
    }

    /// The file of the stock rule.
    pub(super) fn stock_file(&self) -> anyhow::Result<&str> {
        self.stock.to_str().context("the path of the stock rule is no text")
    }

    /// The channel in which billing is being developed.
    pub(super) fn channel(&self) -> &'static str {
        "demo-laptop"
    }

    /// The supplier of billing as somebody has just built it.
    pub(super) fn billing_under_development(&self) -> anyhow::Result<Supplier> {
        let supplier = supplier::of(Team::Billing { service_url: self.urls.billing.clone() })?;
        Ok(supplier.url(&self.server_url).token(&self.developer_token).dev(self.channel()))
    }

    /// Rows of all services.
    pub(super) async fn counts(&self) -> anyhow::Result<Vec<(ServiceName, Counts)>> {
        let mut counts = Vec::new();
        for service in ServiceName::ALL {
            counts.push((service, self.shop.admin(service).counts().await?));
        }
        Ok(counts)
    }

    /// What was made in all services, without what they have heard of each other.
    pub(super) async fn rows_made(&self) -> anyhow::Result<Value> {
        let counts = self.counts().await?;
        let own =
            counts.into_iter().map(|(service, counts)| (service.as_str().to_owned(), json!(counts.own)));
        Ok(own.collect())
    }

    /// Waits until nothing is left in any service: what was undone must be heard of everywhere.
    pub(super) async fn until_nothing_is_left(&self) -> anyhow::Result<Vec<(ServiceName, Counts)>> {
        until("all four services are empty", || async {
            let counts = self.counts().await?;
            let left: Vec<_> = counts.iter().filter(|(_, counts)| !counts.are_zero()).collect();
            Ok(if left.is_empty() { Ok(counts) } else { Err(format!("{left:?}")) })
        })
        .await
    }

    /// What a person can do next.
    pub(super) fn how_to_go_on(&self) -> String {
        let Self { server_url, urls, sixpack, stock, folder, consumer_token, .. } = self;
        format!(
            "\nEverything stays up until ctrl-c. Go on in a browser, as a tester:

  {server_url}/sign-in#{consumer_token}

or in another terminal:

  cd {folder}                          # the token is in {TOKEN_FILE}
  export SIXPACK_URL={server_url}
  alias sixpack={sixpack}

  sixpack contracts                                    # the catalogue
  sixpack suppliers                                    # who is connected
  sixpack request checkout/ready-customer --set country=DE
  sixpack extend LEASE order/paid-order                # pays the order that you hold, and undoes it with the rest
  sixpack lease list                                   # then: sixpack lease release LEASE
  sixpack request checkout/paid-customer               # goes on to a paid order
  sixpack request qa/two-buyers                        # a composition in code
  sixpack apply -f {stock}
  sixpack stock                                        # what is kept ready; requests take it from there

  # break billing, request again, and mend it
  curl -X PUT {billing}/admin/fault -H 'content-type: application/json' -d '{{\"mode\":\"reject\",\"only\":\"accounts\"}}'
  curl -X PUT {billing}/admin/fault -H 'content-type: application/json' -d '{{\"mode\":\"none\"}}'
",
            folder = folder.display(),
            sixpack = sixpack.display(),
            stock = stock.display(),
            billing = urls.billing,
        )
    }

    async fn apply(&self, scenarios: &Path, stage: &Stage) -> anyhow::Result<()> {
        let folder = scenarios.to_str().context("the path of the scenarios is no text")?;
        match self.administer(&["apply", "-f", folder], stage).await? {
            Some(0) => Ok(()),
            _ => bail!("the scenarios in {folder} could not be applied"),
        }
    }

    async fn run(&self, arguments: &[&str], token: &str, stage: &Stage) -> anyhow::Result<Option<i32>> {
        let output = || if stage.is_for_people() { Stdio::inherit() } else { Stdio::null() };
        let mut command = command(&self.sixpack);
        command.args(arguments).env("SIXPACK_URL", &self.server_url).env("SIXPACK_TOKEN", token);
        command.stdin(Stdio::null()).stdout(output()).stderr(output()).kill_on_drop(true);
        let status = command.status().await.context("cannot run sixpack")?;
        Ok(status.code())
    }
}

/// Asks until there is something, or it is certain that there never will be.
pub(super) async fn until<T, F>(what: &str, mut ask: impl FnMut() -> F) -> anyhow::Result<T>
where
    F: Future<Output = anyhow::Result<Result<T, String>>>,
{
    let begun = tokio::time::Instant::now();
    loop {
        match ask().await? {
            Ok(found) => return Ok(found),
            Err(still) if begun.elapsed() > PATIENCE => {
                bail!("not within {PATIENCE:?}: {what}; at the end {still}")
            }
            Err(_) => tokio::time::sleep(ASK_EVERY).await,
        }
    }
}

/// Where `sixpack dev` keeps its token, in the folder that it was started in.
const TOKEN_FILE: &str = ".sixpack/token";

async fn start_services(folder: &Path, processes: &mut Processes) -> anyhow::Result<ShopUrls> {
    let mut urls = Vec::new();
    for service in ServiceName::ALL {
        let mut command = command(&std::env::current_exe()?);
        command.args([service.as_str(), "--listen", "127.0.0.1:0", "--data"]).arg(folder.join("services"));
        urls.push(processes.start(service.as_str(), command, "listening on ").await?);
    }
    let [customer, order, billing, delivery] =
        <[String; 4]>::try_from(urls).expect("there are four services");
    Ok(ShopUrls { customer, order, billing, delivery })
}

/// Starts `sixpack dev`; answers its address and the token that it has made.
async fn start_server(
    sixpack: &Path,
    folder: &Path,
    processes: &mut Processes,
) -> anyhow::Result<(String, String)> {
    let mut command = command(sixpack);
    command.args(["dev", "--listen", "127.0.0.1:0"]).current_dir(folder);
    let url = processes.start("sixpack", command, "Sixpack is ready at ").await?;
    let token = std::fs::read_to_string(folder.join(TOKEN_FILE)).context("the server has made no token")?;
    let token = token.trim().to_owned();
    Ok((url, token))
}

async fn start_suppliers(
    admin: &Client,
    server_url: &str,
    urls: &ShopUrls,
    processes: &mut Processes,
) -> anyhow::Result<()> {
    let suppliers: [(&str, &[&str]); 5] = [
        ("customer", &["--service-url", &urls.customer]),
        ("order", &["--service-url", &urls.order, "--billing-url", &urls.billing]),
        ("billing", &["--service-url", &urls.billing]),
        ("delivery", &["--service-url", &urls.delivery]),
        ("qa", &[]),
    ];
    for (domain, flags) in suppliers {
        let mut wish = NewToken::new(format!("supplier of {domain}"), Role::Supplier);
        wish.domain = Some(domain.to_owned());
        let token = admin.create_token(&wish).await?.token;
        let mut command = command(&std::env::current_exe()?);
        command.args(["supplier", domain]).args(flags);
        command.env("SIXPACK_URL", server_url).env("SIXPACK_TOKEN", token);
        processes.start(&format!("supplier-{domain}"), command, "publishing ").await?;
    }
    Ok(())
}

/// A program that hears nothing of the settings that its user may have for other servers and services.
fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let shown = name.to_string_lossy();
        if shown.starts_with("SIXPACK_") || shown.starts_with("SHOP_") {
            command.env_remove(&name);
        }
    }
    command
}

/// Arguments as they would be typed.
fn shown(arguments: &[&str]) -> String {
    let quoted = arguments.iter().map(|argument| {
        let plain = |letter: char| letter.is_alphanumeric() || "/-_=.:".contains(letter);
        if argument.chars().all(plain) { (*argument).to_owned() } else { format!("'{argument}'") }
    });
    quoted.collect::<Vec<_>>().join(" ")
}
