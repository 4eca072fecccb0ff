//! The trial: tapes, moments, images, and a store that is wrong on purpose.

use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{Context, anyhow, ensure};
use fastrand::Rng;
use power_cut::{Fate, Replay};
use serde_json::{Value, json};
use sixpack_storage::mutants::{self, Mutant};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::checks;
use crate::load::{self, Work};

/// Images of one tape: a new one takes about as long as a hundred images, and knows other interleavings.
const IMAGES_OF_A_TAPE: usize = 800;

/// As many at once as the smallest machine has processors that this is run on.
const THREADS: usize = 2;

/// Images of a wrong store: most of them show it.
const IMAGES_OF_A_MUTANT: usize = 300;

/// So many faults are told; more of them say the same.
const TOLD_MAX: usize = 10;

/// Mistakes that a power cut shows.
const MUTANTS: [Mutant; 4] = [
    Mutant::AnswerBeforeCommit,
    Mutant::SynchronousNormal,
    Mutant::KeyInSecondTransaction,
    Mutant::EventInSecondTransaction,
];

/// What was seen.
#[derive(Default)]
struct Seen {
    images: usize,
    tapes: usize,
    entries: usize,
    flushes: usize,
    acknowledged: usize,
    by_fate: BTreeMap<String, usize>,
    /// Images that were cut while something was open, by the files that it was open in.
    open_in_log: usize,
    open_in_database: usize,
    wrong: Vec<String>,
    wrong_images: usize,
}

/// Makes and checks so many images, then shows that a wrong store is found out. One line of JSON.
pub(crate) fn run(images: usize, seed: u64) -> anyhow::Result<Value> {
    power_cut::install()?;
    let (begun, mut random) = (Instant::now(), Rng::with_seed(seed));
    let seen = tried(images, &mut random)?;
    ensure!(
        seen.wrong_images == 0,
        "{} of {} images are wrong:\n- {}",
        seen.wrong_images,
        seen.images,
        seen.wrong.join("\n- ")
    );
    // One in ten at least: a cut at a moment when everything was on the disk shows nothing.
    let (in_log, in_database) = (seen.open_in_log, seen.open_in_database);
    ensure!(
        in_log * 10 >= seen.images && in_database * 100 >= seen.images,
        "too few of {} images were cut while something was being written: {in_log} in the log, {in_database} in the database",
        seen.images
    );
    let mut caught = BTreeMap::new();
    for mutant in MUTANTS {
        mutants::choose(Some(mutant));
        let seen = tried(IMAGES_OF_A_MUTANT, &mut random);
        mutants::choose(None);
        // The work itself may stumble over a mistake before any power is cut.
        let told = match seen {
            Ok(seen) => {
                let (name, images) = (mutant.name(), seen.images);
                ensure!(seen.wrong_images > 0, "`{name}` was not found in {images} images");
                json!({ "images": images, "wrong": seen.wrong_images, "first": seen.wrong.first() })
            }
            Err(error) if !error.is::<WorkFailed>() => return Err(error),
            Err(error) => json!({ "images": 0, "wrong": 0, "first": format!("{error:#}") }),
        };
        caught.insert(mutant.name(), told);
    }
    Ok(json!({
        "trial": "power_cut", "seed": seed, "seconds": begun.elapsed().as_secs(),
        "images": seen.images, "wrong": seen.wrong_images, "by_fate": seen.by_fate,
        "cut_while_writing": { "log": in_log, "database": in_database },
        "tapes": seen.tapes, "entries": seen.entries, "flushes": seen.flushes, "acknowledged": seen.acknowledged,
        "mutants": caught,
    }))
}

fn tried(images: usize, random: &mut Rng) -> anyhow::Result<Seen> {
    let mut seen = Seen::default();
    while seen.images < images {
        let folder = folder()?;
        let runtime = runtime()?;
        let place = folder.path().canonicalize()?;
        let work = told(|| load::work(&place, &runtime, random)).context(WorkFailed)?;
        seen.tapes += 1;
        seen.entries += work.tape.len();
        seen.flushes += work.tape.flushes();
        seen.acknowledged += work.told.len();
        let more = IMAGES_OF_A_TAPE.min(images - seen.images);
        cut(&work, more, random, &mut seen)?;
    }
    Ok(seen)
}

/// Cuts one tape at so many moments.
fn cut(work: &Work, images: usize, random: &mut Rng, seen: &mut Seen) -> anyhow::Result<()> {
    let next = AtomicUsize::new(0);
    let mut moments: Vec<usize> = (0..images).map(|_| random.usize(1..=work.tape.len())).collect();
    moments.sort_unstable();
    let (seed, both) = (random.u64(..), Mutex::new(std::mem::take(seen)));
    let outcome = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..THREADS).map(|_| scope.spawn(|| cut_some(work, &moments, seed, &next, &both))).collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("what is wrong is told, not panicked"))
    });
    *seen = both.into_inner().expect("a thread that panicked was told of above");
    outcome
}

fn cut_some(
    work: &Work,
    moments: &[usize],
    seed: u64,
    next: &AtomicUsize,
    seen: &Mutex<Seen>,
) -> anyhow::Result<()> {
    let (runtime, mut replay) = (runtime()?, Replay::new(&work.tape));
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let Some(moment) = moments.get(number) else { return Ok(()) };
        replay.forward(*moment);
        let fate = Fate::ALL[number % Fate::ALL.len()];
        // The same image again, when it has to be kept: opening one changes it.
        let image = || replay.image(fate, &mut Rng::with_seed(seed.wrapping_add(number as u64)));
        let folder = folder()?;
        image().write_to(folder.path()).context("writing an image")?;
        let wrong = told(|| Ok(checks::wrong(folder.path(), &work.told, *moment, &work.clock, &runtime)));
        let wrong = wrong.unwrap_or_else(|error| vec![error.to_string()]);
        let mut seen = seen.lock().expect("nobody panics while holding it");
        seen.images += 1;
        *seen.by_fate.entry(format!("{fate:?}").to_lowercase()).or_default() += 1;
        seen.open_in_log += usize::from(replay.is_open("store.db-wal"));
        seen.open_in_database += usize::from(replay.is_open("store.db"));
        if !wrong.is_empty() {
            seen.wrong_images += 1;
            if seen.wrong.len() < TOLD_MAX {
                let kept = if mutants::chosen().is_none() { keep(|at| image().write_to(at))? } else { None };
                let kept =
                    kept.map(|kept| format!("; the image is in {}", kept.display())).unwrap_or_default();
                seen.wrong.push(format!("cut at {moment} ({fate:?}): {}{kept}", wrong.join(", ")));
            }
        }
    }
}

/// That what was to be cut short did not come to its end by itself.
#[derive(Debug)]
struct WorkFailed;

impl fmt::Display for WorkFailed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the work failed")
    }
}

/// Tells of a panic as of an error: which seed and which image it was is more than where it was.
fn told<T>(does: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    catch_unwind(AssertUnwindSafe(does)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        Err(anyhow!("it panicked: {}", text.unwrap_or("nothing was said")))
    })
}

/// Keeps an image for whoever looks for the mistake.
fn keep(write: impl FnOnce(&Path) -> std::io::Result<()>) -> anyhow::Result<Option<PathBuf>> {
    let folder = tempfile::Builder::new().prefix("sixpack-power-cut-").tempdir()?;
    write(folder.path())?;
    Ok(Some(folder.keep()))
}

/// In memory where there is such a place: what is flushed here has to survive nothing.
fn folder() -> anyhow::Result<TempDir> {
    let memory = Path::new("/dev/shm");
    let mut builder = tempfile::Builder::new();
    builder.prefix("sixpack-power-cut-");
    let made = if memory.is_dir() { builder.tempdir_in(memory) } else { builder.tempdir() };
    made.context("making a folder for an image")
}

fn runtime() -> anyhow::Result<Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}
