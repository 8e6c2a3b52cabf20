//! Memory that something else has written to: nothing panics, nothing is read out of bounds, everything ends, and the log
//! works again when it has been gone round.

use std::sync::atomic::Ordering;

use super::*;

/// The words that say what and how large it is, and the lock.
const KEPT: usize = 32;

#[test]
fn reading_and_writing_garbage_ends() {
    let layout = Layout {
        ring: 8 << 10,
        topics: 5,
        seats: 3,
    };
    for seed in 0..300 {
        let mut random = fastrand::Rng::with_seed(seed);
        let words = words(layout);
        let log = Log::new(words, layout, EPOCH, [1, 2]).unwrap();
        let seat = seat(log);
        let mut reader = seat.reader().unwrap();
        for number in 0..40_usize {
            publish(log, &(number % 5).to_string(), &vec![1; number * 9]);
        }
        spoil(words, &mut random);
        use_it(log, &seat, &mut reader);
    }
}

/// Writes to some words, or to all.
fn spoil(words: &[AtomicU64], random: &mut fastrand::Rng) {
    let count = *random.choice([1, 5, 100, words.len()].iter()).unwrap();
    for step in 0..count {
        let index = match count == words.len() {
            true => step,
            false => random.usize(..words.len()),
        };
        if index >= KEPT {
            let value = match random.u8(..4) {
                0 => random.u64(..),
                1 => u64::MAX - random.u64(..3000),
                2 => random.u64(..3000),
                _ => words[index].load(Ordering::Relaxed) ^ 1 << random.u8(..64),
            };
            words[index].store(value, Ordering::Relaxed);
        }
    }
}

fn use_it(log: Log<'static>, seat: &Seat<'static>, reader: &mut Reader<'static>) {
    let mut batch = Batch::new();
    let limits = Limits {
        messages: 1000,
        ..ALL
    };
    for round in 0..30_usize {
        let topic = topic(&round.to_string());
        for _ in 0..20 {
            if reader.next(&mut batch).is_ok() && batch.is_empty() {
                break;
            }
            touch(&batch);
        }
        reader.wait(&Mute, Duration::MAX);
        if let Ok((subscription, history)) = seat.subscribe(&topic) {
            history.recent(&limits, &mut batch);
            touch(&batch);
            let _ = history.resume(token(round as u64), &limits, &mut batch);
            touch(&batch);
            seat.unsubscribe(subscription).unwrap();
        }
        let flags = Flags {
            retain: round % 3 == 0,
            ..Flags::default()
        };
        let key = round.to_string();
        let payload = vec![2; round * 20];
        let _ = send(
            log,
            &Message {
                flags,
                key: Some(&key),
                ..message(&topic, &payload)
            },
        );
        let _ = log.retained(&topic, &mut batch);
        touch(&batch);
        log.figures();
        log.topics().unwrap();
        if round % 7 == 0 {
            log.forget(&topic).unwrap();
        }
    }
    let _ = log.claim(owner(5), |process| process == owner(1));
    log.sweep(|_| true).unwrap();
}

/// The process that hears of a child's end may be root's: no word that a child has written takes it anywhere.
#[test]
fn who_notes_a_death_follows_nothing_in_the_memory() {
    for seed in 0..300 {
        let mut random = fastrand::Rng::with_seed(seed);
        let words = words(SMALL);
        let log = Log::new(words, SMALL, EPOCH, [1, 2]).unwrap();
        let _seat = seat(log);
        // The lock, too, held by nobody and everybody.
        for word in &words[header_lock()..] {
            word.store(random.u64(..), Ordering::Relaxed);
        }
        log.note_death();
        log.ring(&Mute);
    }
}

/// Where what says how large it is ends, and the lock begins.
const fn header_lock() -> usize {
    KEPT / 2
}

fn touch(batch: &Batch) {
    for record in batch.iter() {
        assert!(record.topic.len() <= Topic::MOST && record.payload.len() <= 8 << 10);
    }
}

#[test]
fn damage_is_told_and_gone_past() {
    let words = words(SMALL);
    let log = Log::new(words, SMALL, EPOCH, [1, 2]).unwrap();
    let mut reader = seat(log).reader().unwrap();
    for _ in 0..5 {
        publish(log, "a", &[7; 64]);
    }
    // The third record's payload: its second word.
    let sevens = u64::from_ne_bytes([7; 8]);
    let is_payload = |word: &&AtomicU64| word.load(Ordering::Relaxed) == sevens;
    let word = words.iter().filter(is_payload).nth(2 * 8 + 1).unwrap();
    word.store(8, Ordering::Relaxed);
    let mut batch = Batch::new();
    reader.next(&mut batch).unwrap();
    assert_eq!(ids(&batch), [1, 2]);
    let gap = reader.next(&mut batch).unwrap_err();
    assert_eq!(
        (gap.after, gap.cause),
        (RecordId(2), topics::Cause::Damaged)
    );
    publish(log, "a", b"6");
    assert_eq!(read(&mut reader).unwrap()[0].0, 6);
    assert_eq!(resume(log, "a", 1, &ALL), Err(CannotResume::Overrun));
    assert_eq!(resume(log, "a", 3, &ALL), Ok(vec![4, 5, 6]));
}
