//! Runs one seed after the other, on two threads, and says which one has failed, why, and its story.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use shuttle::{FailurePersistence, Runner};

use crate::schedule::Seeds;
use crate::world::World;

/// Lives one seed: its number, where its time begins, whether it keeps its story, and where it leaves its world.
pub type Live = fn(u64, Instant, bool, &Mutex<Option<Arc<World>>>);

/// A simulation.
pub struct Simulation {
    pub live: Live,
    /// Seeds that once failed. They run before all others.
    pub kept: &'static [u64],
    /// Rare paths that many seeds have to go, or they prove little.
    pub required: &'static [&'static str],
    /// One seed, for so many that are asked for.
    pub share: u64,
}

/// Runs seeds, on this thread. Says which marks they have reached, or which seed failed, why, and its story.
fn run(
    live: Live,
    first: u64,
    count: u64,
    tells: bool,
) -> Result<BTreeSet<&'static str>, (u64, String, Vec<String>)> {
    let mut config = shuttle::Config::new();
    config.stack_size = 0x20000;
    config.failure_persistence = FailurePersistence::None;
    config.max_steps = shuttle::MaxSteps::None;
    let runner = Runner::new(Seeds::new(first, count), config);
    let world = Arc::new(Mutex::new(None));
    let seeds = Arc::new(Mutex::new((first, BTreeSet::new())));
    let origin = Instant::now();
    let (shared, progress) = (Arc::clone(&world), Arc::clone(&seeds));
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        runner.run(move || {
            let seed = progress.lock().unwrap().0;
            live(seed, origin, tells, &shared);
            let marks = shared.lock().unwrap().as_ref().unwrap().marks();
            let mut progress = progress.lock().unwrap();
            progress.0 += 1;
            progress.1.extend(marks);
        });
    }));
    let (seed, marks) = &*seeds.lock().unwrap_or_else(PoisonError::into_inner);
    match outcome {
        Ok(_) => Ok(marks.clone()),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            let world = world.lock().unwrap_or_else(PoisonError::into_inner).take();
            Err((
                *seed,
                text.unwrap_or_default(),
                world.map(|world| world.story()).unwrap_or_default(),
            ))
        }
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// What is said of a seed that failed: how to have it again, why it failed, and what happened.
fn report(seed: u64, why: &str, story: &[String]) -> String {
    format!(
        "seed {seed}: {why}\n{}\nseed {seed}: {why}\nagain: make simulate SEED={seed}",
        story.join("\n")
    )
}

/// Fails the test: panics are silent here.
fn fail(report: &str) -> ! {
    eprintln!("{report}");
    panic!("a seed has failed")
}

impl Simulation {
    /// Runs `SEEDS` of them, its share of 20,000 without; or `SEED`, which tells its story.
    pub fn run(&self) {
        static HAS_FAILED: AtomicBool = AtomicBool::new(false);
        let live = self.live;
        if let Some(seed) = number("SEED") {
            let outcome = run(live, seed, 1, true);
            match outcome {
                Ok(marks) => println!("seed {seed} is well: {marks:?}"),
                Err((_, why, story)) => fail(&report(seed, &why, &story)),
            }
            return;
        }
        let seeds = number("SEEDS").unwrap_or(20_000) / self.share;
        // shuttle's own account of a panic is of its schedule; ours is the story.
        std::panic::set_hook(Box::new(|_| {}));
        let begin = Instant::now();
        for &seed in self.kept {
            if let Err((_, why, story)) = run(live, seed, 1, true) {
                fail(&report(seed, &why, &story));
            }
        }
        let threads: Vec<_> = (0..2)
            .map(|half| {
                std::thread::spawn(move || {
                    let mut marks = BTreeSet::new();
                    let (mut at, end) = (half * seeds / 2, (half + 1) * seeds / 2);
                    while at < end && !HAS_FAILED.load(Ordering::Relaxed) {
                        let count = 500.min(end - at);
                        match run(live, at, count, false) {
                            Ok(more) => marks.extend(more),
                            Err(failure) => {
                                HAS_FAILED.store(true, Ordering::Relaxed);
                                return Err(failure);
                            }
                        }
                        at += count;
                    }
                    Ok(marks)
                })
            })
            .collect();
        let mut all = BTreeSet::new();
        for thread in threads {
            match thread.join().unwrap() {
                Ok(marks) => all.extend(marks),
                Err((seed, why, _)) => {
                    let story = run(live, seed, 1, true).err().map(|(_, _, story)| story);
                    fail(&report(seed, &why, &story.unwrap_or_default()));
                }
            }
        }
        for mark in self.required {
            if seeds >= 2_000 && !all.contains(mark) {
                fail(&format!("no seed has come to: {mark}"));
            }
        }
        println!("{seeds} seeds in {:?}; marks {all:?}", begin.elapsed());
    }
}
