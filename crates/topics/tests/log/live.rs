//! Reading the log as it grows.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use topics::{Cause, Futex};

use super::*;

#[test]
fn every_record_is_read_once_and_in_order_by_each_reader() {
    let log = log(SMALL);
    let mut readers: Vec<_> = (1..=3)
        .map(|number| {
            log.claim(owner(number), |_| true)
                .unwrap()
                .reader()
                .unwrap()
        })
        .collect();
    for round in 0..50_u64 {
        let payload = vec![round as u8; round as usize * 3];
        let id = publish(log, if round % 3 == 0 { "a" } else { "b" }, &payload);
        assert_eq!(id, round + 1);
        for reader in &mut readers {
            assert_eq!(read(reader), Ok(vec![(id, payload.clone())]));
        }
    }
}

#[test]
fn a_record_has_what_was_published() {
    let log = log(SMALL);
    let mut reader = seat(log).reader().unwrap();
    let (one, other) = (topic("größe"), topic("b"));
    let flags = Flags {
        retain: false,
        volatile: false,
        exclude_origin: true,
        uncompressed: true,
    };
    let first = Message {
        kind: Kind::Text,
        flags,
        origin: 77,
        time: 1234,
        ..message(&one, b"text")
    };
    send(log, &first).unwrap();
    send(log, &message(&other, b"")).unwrap();
    send(
        log,
        &Message {
            kind: Kind::Notice,
            ..message(&one, b"x")
        },
    )
    .unwrap();
    let mut batch = Batch::new();
    reader.next(&mut batch).unwrap();
    let records: Vec<_> = batch.iter().collect();
    let [first, second, third] = records[..] else {
        panic!("three records");
    };
    assert_eq!(
        (first.topic, first.kind, first.flags),
        ("größe", Kind::Text, flags)
    );
    assert_eq!(
        (first.origin, first.time, first.payload),
        (77, 1234, &b"text"[..])
    );
    assert_eq!((first.previous, first.nth), (RecordId::NONE, 1));
    assert_eq!((second.topic, second.payload), ("b", &b""[..]));
    assert_eq!(
        (third.kind, third.previous, third.nth),
        (Kind::Notice, RecordId(1), 1)
    );
    assert_eq!(third.slot, first.slot);
}

#[test]
fn records_as_large_as_allowed_wrap_around() {
    let log = log(SMALL);
    let mut reader = seat(log).reader().unwrap();
    let longest = "x".repeat(Topic::MOST);
    let most = Publisher::new(log, Mute).most_payload();
    for round in 0..40_u8 {
        let payload: Vec<u8> = (0..most).map(|index| index as u8 ^ round).collect();
        let topic = topic(&longest);
        let published = send(
            log,
            &Message {
                key: Some(&round.to_string()),
                ..message(&topic, &payload)
            },
        );
        let id = published.unwrap().id.0;
        assert_eq!(read(&mut reader), Ok(vec![(id, payload)]));
        // So that the end of the ring is met at other places, too.
        publish(log, "a", &vec![0; usize::from(round) * 8]);
        read(&mut reader).unwrap();
    }
    let larger = vec![0; most + 1];
    let error = send(log, &message(&topic("a"), &larger));
    assert_eq!(error, Err(PublishError::TooLarge { limit: most }));
    assert_eq!(log.latest().0, 80);
}

#[test]
fn a_reader_that_was_overrun_knows_what_it_has_read_last() {
    let log = log(SMALL);
    let mut reader = seat(log).reader().unwrap();
    publish(log, "a", b"1");
    read(&mut reader).unwrap();
    for _ in 0..100 {
        publish(log, "a", &[0; 500]);
    }
    let gap = read(&mut reader).unwrap_err();
    assert_eq!((gap.after, gap.cause), (RecordId(1), Cause::Overrun));
    let rest = read(&mut reader).unwrap();
    assert_eq!(rest.last().unwrap().0, 101);
    assert!(rest.len() > 10, "it goes on with the oldest that is there");
    assert!(rest.is_sorted_by(|one, next| one.0 + 1 == next.0));
}

#[test]
fn a_new_reader_begins_at_the_end() {
    let log = log(SMALL);
    publish(log, "a", b"1");
    let mut reader = seat(log).reader().unwrap();
    assert_eq!(
        (reader.last(), read(&mut reader)),
        (RecordId(1), Ok(vec![]))
    );
    publish(log, "a", b"2");
    assert_eq!(read(&mut reader), Ok(vec![(2, b"2".to_vec())]));
}

#[test]
fn a_batch_ends_and_the_next_one_goes_on() {
    let layout = Layout {
        ring: 4 << 20,
        ..SMALL
    };
    let log = log(layout);
    let mut reader = seat(log).reader().unwrap();
    for _ in 0..3000 {
        publish(log, "a", &[1; 700]);
    }
    let (mut batch, mut next) = (Batch::new(), 1);
    while next <= 3000 {
        reader.next(&mut batch).unwrap();
        assert!(!batch.is_empty() && batch.len() <= 1024);
        for record in batch.iter() {
            assert_eq!((record.id.0, record.payload), (next, &[1; 700][..]));
            next += 1;
        }
    }
}

/// Counts who is woken, and does not wait.
#[derive(Default)]
struct Counting(AtomicU64);

impl Bell for &Counting {
    fn wait(&self, _: &AtomicU64, _: u64, _: Duration) {
        self.0.fetch_add(1 << 32, Ordering::Relaxed);
    }
    fn wake(&self, _: &AtomicU64) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Counting {
    fn waits(&self) -> u64 {
        self.0.load(Ordering::Relaxed) >> 32
    }
}

#[test]
fn a_reader_does_not_wait_when_there_is_something_to_read() {
    let log = log(SMALL);
    let reader = seat(log).reader().unwrap();
    let bell = &Counting::default();
    reader.wait(&bell, Duration::MAX);
    assert_eq!(bell.waits(), 1);
    publish(log, "a", b"1");
    reader.wait(&bell, Duration::MAX);
    assert_eq!(bell.waits(), 1);
}

#[test]
fn those_who_wait_are_woken_when_it_is_for_them() {
    let log = log(SMALL);
    let children: Vec<_> = (1..=3)
        .map(|number| log.claim(owner(number), |_| true).unwrap())
        .collect();
    let held = children[0].subscribe(&topic("a")).unwrap().0;
    let also = children[2].subscribe(&topic("b")).unwrap().0;

    struct During<'a>(Log<'a>, &'a str, &'a Counting);
    impl Bell for During<'_> {
        fn wait(&self, _: &AtomicU64, _: u64, _: Duration) {
            let topic = topic(self.1);
            Publisher::new(self.0, self.2)
                .publish(&message(&topic, b""))
                .unwrap();
        }
        fn wake(&self, _: &AtomicU64) {}
    }
    let woken = |child: usize, name: &str| {
        let count = Counting::default();
        let reader = children[child].reader().unwrap();
        reader.wait(&During(log, name, &count), Duration::MAX);
        count.0.load(Ordering::Relaxed)
    };
    assert_eq!(woken(0, "a"), 1);
    assert_eq!(woken(0, "b"), 0, "nobody of this child subscribes to it");
    assert_eq!(woken(1, "a"), 0);
    assert_eq!(woken(2, "b"), 1);
    children[0].unsubscribe(held).unwrap();
    assert_eq!(woken(0, "a"), 0);
    children[2].unsubscribe(also).unwrap();
}

#[test]
fn a_reader_that_waits_with_a_futex_misses_nothing() {
    let log = log(SMALL);
    let seat = seat(log);
    let mut reader = seat.reader().unwrap();
    let held = seat.subscribe(&topic("a")).unwrap().0;
    const COUNT: u64 = 2000;
    thread::scope(|scope| {
        let publishers = scope.spawn(move || {
            for number in 0..COUNT {
                Publisher::new(log, Futex)
                    .publish(&message(&topic("a"), &number.to_le_bytes()))
                    .unwrap();
                if number % 16 == 0 {
                    thread::yield_now();
                }
            }
        });
        let mut batch = Batch::new();
        while reader.last().0 < COUNT {
            // An overrun is none of this test's matter; that it ends is.
            let _ = reader.next(&mut batch);
            if batch.is_empty() {
                reader.wait(&Futex, Duration::from_secs(600));
            }
        }
        publishers.join().unwrap();
    });
    seat.unsubscribe(held).unwrap();
}

#[test]
fn a_seat_is_rung_for() {
    let log = log(SMALL);
    let seat = seat(log);
    let reader = seat.reader().unwrap();
    struct Ringing<'a>(&'a Seat<'a>);
    impl Bell for Ringing<'_> {
        fn wait(&self, word: &AtomicU64, seen: u64, _: Duration) {
            self.0.ring(&Mute);
            assert_ne!(word.load(Ordering::Relaxed), seen);
        }
        fn wake(&self, _: &AtomicU64) {}
    }
    reader.wait(&Ringing(&seat), Duration::MAX);
}

/// Who makes it be over rings afterwards: so the bell is looked at before that is asked.
#[test]
fn a_ring_between_the_question_whether_it_is_over_and_the_wait_is_heard() {
    let log = log(SMALL);
    let seat = seat(log);
    let reader = seat.reader().unwrap();
    struct Rung;
    impl Bell for Rung {
        fn wait(&self, word: &AtomicU64, seen: u64, _: Duration) {
            assert_ne!(word.load(Ordering::Relaxed), seen, "it would wait");
        }
        fn wake(&self, _: &AtomicU64) {}
    }
    let is_asked = || {
        seat.ring(&Rung);
        false
    };
    reader.wait_unless(is_asked, &Rung, Duration::MAX);
    struct Never;
    impl Bell for Never {
        fn wait(&self, _: &AtomicU64, _: u64, _: Duration) {
            panic!("it is over");
        }
        fn wake(&self, _: &AtomicU64) {}
    }
    reader.wait_unless(|| true, &Never, Duration::MAX);
}

#[test]
fn threads_that_publish_at_once_have_one_order() {
    let layout = Layout {
        ring: 4 << 20,
        ..SMALL
    };
    let log = log(layout);
    let mut readers: Vec<_> = (1..=2)
        .map(|number| {
            log.claim(owner(number), |_| true)
                .unwrap()
                .reader()
                .unwrap()
        })
        .collect();
    thread::scope(|scope| {
        for number in 0..4_u8 {
            scope.spawn(move || {
                for count in 0..500_u16 {
                    let [high, low] = count.to_be_bytes();
                    publish(log, "a", &[number, high, low]);
                }
            });
        }
    });
    let all = read(&mut readers[0]).unwrap();
    assert_eq!(read(&mut readers[1]).unwrap(), all);
    assert!(all.is_sorted_by(|one, next| one.0 + 1 == next.0));
    for number in 0..4 {
        let own: Vec<_> = all
            .iter()
            .filter(|(_, payload)| payload[0] == number)
            .collect();
        assert!(own.len() == 500 && own.is_sorted_by(|one, next| one.1 < next.1));
    }
}

#[test]
fn what_nobody_wants_is_passed_by_unread() {
    let log = log(SMALL);
    let mut reader = seat(log).reader().unwrap();
    assert!(!reader.skip(|| true), "there is nothing");
    publish(log, "a", b"1");
    assert!(!reader.skip(|| false), "somebody wants it");
    assert_eq!(read(&mut reader), Ok(vec![(1, b"1".to_vec())]));
    publish(log, "a", b"2");
    publish(log, "a", b"3");
    assert!(reader.skip(|| true));
    assert_eq!(read(&mut reader), Ok(vec![]));
    publish(log, "a", b"4");
    assert_eq!(read(&mut reader), Ok(vec![(4, b"4".to_vec())]));
}

#[test]
fn a_gap_behind_what_was_passed_by_begins_there() {
    let log = log(SMALL);
    let mut reader = seat(log).reader().unwrap();
    publish(log, "a", b"1");
    publish(log, "a", b"2");
    assert!(reader.skip(|| true));
    let mut last = 2;
    while last < 1000 {
        last = publish(log, "b", &[0; 300]);
    }
    let gap = read(&mut reader).unwrap_err();
    assert_eq!(gap.cause, Cause::Overrun);
    // The last of them may have been under way.
    assert!([1, 2].contains(&gap.after.0), "{:?}", gap.after);
}
