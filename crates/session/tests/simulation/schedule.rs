//! In which order the runnable parts of the world take their next step: the seed decides.

use shuttle::scheduler::{Schedule, Scheduler, Task, TaskId};

use crate::chance::Chance;

/// The world's own part, which keeps the time. It runs when nobody else can, so that what it sees is a world at rest.
const TIMEKEEPER: usize = 0;

/// One seed's schedule after the other.
pub struct Seeds {
    next: u64,
    end: u64,
    chance: Chance,
    /// How often, of 16 times, the part that has just taken a step takes the next one, too. Some seeds have long strides,
    /// some change at each step: each finds what the other does not.
    stride: u64,
    steps: u64,
}

/// More steps than any honest run takes: beyond, the parts only keep each other awake.
pub const MOST_STEPS: u64 = 400_000;

impl Seeds {
    /// The seeds from `first` on, `count` of them.
    pub fn new(first: u64, count: u64) -> Self {
        Seeds {
            next: first,
            end: first + count,
            chance: Chance::new(0),
            stride: 0,
            steps: 0,
        }
    }
}

impl Scheduler for Seeds {
    fn new_execution(&mut self) -> Option<Schedule> {
        if self.next == self.end {
            return None;
        }
        let seed = self.next;
        self.next += 1;
        self.chance = Chance::new(seed);
        self.stride = self.chance.below(16);
        self.steps = 0;
        Some(Schedule::new(seed))
    }

    fn next_task(
        &mut self,
        runnable: &[&Task],
        current: Option<TaskId>,
        is_yielding: bool,
    ) -> Option<TaskId> {
        self.steps += 1;
        assert!(
            self.steps < MOST_STEPS,
            "the parts of the world keep each other awake"
        );
        let is_actor = |task: &&&Task| usize::from(task.id()) != TIMEKEEPER;
        let actors = runnable.iter().filter(is_actor).count() as u64;
        if actors == 0 {
            return Some(runnable.first()?.id());
        }
        let goes_on = current.filter(|&id| {
            !is_yielding
                && usize::from(id) != TIMEKEEPER
                && runnable.iter().any(|task| task.id() == id)
        });
        if let Some(id) = goes_on
            && self.chance.below(16) < self.stride
        {
            return Some(id);
        }
        let chosen = self.chance.below(actors) as usize;
        runnable
            .iter()
            .filter(is_actor)
            .nth(chosen)
            .map(|task| task.id())
    }

    /// What the world draws its own chances from.
    fn next_u64(&mut self) -> u64 {
        self.chance.next()
    }
}
