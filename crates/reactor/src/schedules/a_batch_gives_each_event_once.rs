//! Each event of a batch goes to one thread, its owner or a thief, also when the thief is late and the owner has filled the
//! batch anew; and a thief that sees a batch sees its events.

use std::sync::Arc;

use schedules::{explore, thread};

use crate::batch::Batch;

fn fill(batch: &Batch, events: &[u64]) {
    let mut filler = batch.fill();
    events.iter().for_each(|&event| filler.push(event));
    filler.publish();
}

/// Fails when `publish` keeps the sequence number, so that a thief who has read an old event takes the new one's place;
/// when it stores the head with `Relaxed`; and when `take` reads the head with `Relaxed`, or takes without comparing.
#[test]
fn while_another_worker_steals() {
    explore(|| {
        let batch = Arc::new(Batch::new());
        let victim = Arc::clone(&batch);
        let thief = thread::spawn(move || [victim.take(), victim.take()]);
        let mut taken = Vec::new();
        fill(&batch, &[1, 2]);
        taken.extend(std::iter::from_fn(|| batch.take()));
        fill(&batch, &[3, 4]);
        taken.extend(thief.join().unwrap().into_iter().flatten());
        taken.extend(std::iter::from_fn(|| batch.take()));
        taken.sort_unstable();
        assert_eq!(taken, [1, 2, 3, 4]);
    });
}
