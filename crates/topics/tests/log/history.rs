//! Resuming, and what newcomers get.

use super::*;

/// Records 1 to 30: 3, 6, 9 and so on are of "b", the others of "a".
fn interleaved(log: Log<'_>) {
    for id in 1..=30 {
        publish(log, if id % 3 == 0 { "b" } else { "a" }, &[id as u8]);
    }
}

#[test]
fn at_each_position_exactly_what_was_missed_is_resumed() {
    let log = log(SMALL);
    interleaved(log);
    for since in 0..=30 {
        let of = |is_b: bool| {
            (since + 1..=30)
                .filter(|id| (id % 3 == 0) == is_b)
                .collect::<Vec<_>>()
        };
        assert_eq!(resume(log, "a", since, &ALL), Ok(of(false)));
        assert_eq!(resume(log, "b", since, &ALL), Ok(of(true)));
    }
    assert_eq!(resume(log, "a", 31, &ALL), Err(CannotResume::NeverSeen));
    assert_eq!(
        resume(log, "a", u64::MAX, &ALL),
        Err(CannotResume::NeverSeen)
    );
}

#[test]
fn another_epoch_is_told() {
    let log = log(SMALL);
    interleaved(log);
    let history = log.history(&topic("a")).unwrap().unwrap();
    let since = Token {
        epoch: Epoch(NonZeroU64::MAX),
        id: RecordId(1),
    };
    let mut batch = Batch::new();
    assert_eq!(
        history.resume(since, &ALL, &mut batch),
        Err(CannotResume::OtherEpoch)
    );
    assert_eq!(
        (history.token(), history.last(), history.published()),
        (token(30), RecordId(29), 20)
    );
}

#[test]
fn at_each_position_of_a_ring_that_was_overrun_it_is_exact_or_told() {
    for size in [0, 1, 40, 300, 680] {
        let log = log(SMALL);
        let mut of_a = Vec::new();
        for round in 0..200 {
            let id = publish(log, if round % 5 == 4 { "b" } else { "a" }, &vec![1; size]);
            if round % 5 != 4 {
                of_a.push(id);
            }
        }
        // What is there, and something of "b" before it perhaps.
        let oldest = recent(log, "a", &ALL)[0];
        assert!(oldest > 1 && recent(log, "a", &ALL).len() > 5);
        let lost = of_a
            .iter()
            .copied()
            .filter(|&id| id < oldest)
            .max()
            .unwrap();
        for since in 0..=200 {
            let expected = match since < lost {
                true => Err(CannotResume::Overrun),
                false => Ok(of_a.iter().copied().filter(|&id| id > since).collect()),
            };
            assert_eq!(resume(log, "a", since, &ALL), expected, "since {since}");
        }
    }
}

#[test]
fn a_topic_whose_records_are_all_overwritten_is_judged_by_their_ids() {
    let log = log(SMALL);
    publish(log, "a", b"1");
    for _ in 0..50 {
        publish(log, "b", &[0; 600]);
    }
    assert_eq!(resume(log, "a", 0, &ALL), Err(CannotResume::Overrun));
    assert_eq!(resume(log, "a", 1, &ALL), Ok(vec![]));
    assert_eq!(recent(log, "a", &ALL), []);
}

#[test]
fn what_exceeds_the_limits_is_told() {
    let log = log(SMALL);
    let topic = topic("a");
    for time in 1..=10 {
        send(
            log,
            &Message {
                time: time * 1000,
                ..message(&topic, b"")
            },
        )
        .unwrap();
    }
    let messages = |messages| Limits { messages, ..ALL };
    assert_eq!(resume(log, "a", 7, &messages(3)), Ok(vec![8, 9, 10]));
    assert_eq!(resume(log, "a", 6, &messages(3)), Err(CannotResume::Limit));
    assert_eq!(recent(log, "a", &messages(3)), [8, 9, 10]);
    assert_eq!(resume(log, "a", 10, &messages(0)), Ok(vec![]));
    let age = |seconds| Limits {
        age: Some(Duration::from_secs(seconds)),
        now: 12_000,
        ..ALL
    };
    assert_eq!(resume(log, "a", 7, &age(4)), Ok(vec![8, 9, 10]));
    assert_eq!(resume(log, "a", 6, &age(4)), Err(CannotResume::Limit));
    assert_eq!(recent(log, "a", &age(4)), [8, 9, 10]);
    assert_eq!(recent(log, "a", &age(1)), []);
    assert_eq!(recent(log, "a", &age(100)).len(), 10);
}

#[test]
fn what_was_forgotten_is_not_told_and_that_it_was_is() {
    let log = log(SMALL);
    interleaved(log);
    assert!(log.forget(&topic("a")).unwrap());
    assert!(!log.forget(&topic("c")).unwrap());
    assert_eq!(recent(log, "a", &ALL), []);
    assert_eq!(recent(log, "b", &ALL).len(), 10);
    assert_eq!(resume(log, "a", 28, &ALL), Err(CannotResume::Forgotten));
    assert_eq!(resume(log, "a", 29, &ALL), Ok(vec![]));
    publish(log, "a", b"new");
    assert_eq!(recent(log, "a", &ALL), [31]);
    assert_eq!(resume(log, "a", 28, &ALL), Err(CannotResume::Forgotten));
    assert_eq!(resume(log, "a", 30, &ALL), Ok(vec![31]));
}

#[test]
fn volatile_records_are_in_no_history() {
    let log = log(SMALL);
    let mut reader = seat(log).reader().unwrap();
    publish(log, "a", b"1");
    let flags = Flags {
        volatile: true,
        ..Flags::default()
    };
    send(
        log,
        &Message {
            flags,
            ..message(&topic("a"), b"2")
        },
    )
    .unwrap();
    publish(log, "a", b"3");
    assert_eq!(read(&mut reader).unwrap().len(), 3);
    assert_eq!(resume(log, "a", 0, &ALL), Ok(vec![1, 3]));
    assert_eq!(resume(log, "a", 2, &ALL), Ok(vec![3]));
}

#[test]
fn history_and_live_records_meet_without_a_gap_or_a_double() {
    let log = log(SMALL);
    let seat = seat(log);
    let mut reader = seat.reader().unwrap();
    interleaved(log);
    let (subscription, history) = seat.subscribe(&topic("a")).unwrap();
    for _ in 0..3 {
        publish(log, "a", b"later");
        publish(log, "b", b"later");
    }
    let mut batch = Batch::new();
    history.resume(token(20), &ALL, &mut batch).unwrap();
    let mut all = ids(&batch);
    assert_eq!(all, [22, 23, 25, 26, 28, 29]);
    reader.next(&mut batch).unwrap();
    let is_for_it = |record: &topics::Record<'_>| {
        record.slot == subscription.slot() && record.position >= subscription.start()
    };
    all.extend(batch.iter().filter(is_for_it).map(|record| record.id.0));
    assert_eq!(all, [22, 23, 25, 26, 28, 29, 31, 33, 35]);
    seat.unsubscribe(subscription).unwrap();
}

#[test]
fn after_a_gap_the_history_has_what_was_missed() {
    let log = log(SMALL);
    let seat = seat(log);
    let mut reader = seat.reader().unwrap();
    let (subscription, _) = seat.subscribe(&topic("a")).unwrap();
    let mut expected = vec![publish(log, "a", b"")];
    read(&mut reader).unwrap();
    // Of "a", all is still there.
    for round in 0..60 {
        match round {
            40.. => expected.push(publish(log, "a", b"")),
            _ => drop(publish(log, "b", &[0; 300])),
        }
    }
    let mut batch = Batch::new();
    let gap = reader.next(&mut batch).unwrap_err();
    let history = log.history(&topic("a")).unwrap().unwrap();
    expected.push(publish(log, "a", b""));
    history
        .resume(token(gap.after.0), &ALL, &mut batch)
        .unwrap();
    let mut all = vec![1];
    all.extend(ids(&batch));
    let start = history.end();
    assert!(start > subscription.start());
    reader.next(&mut batch).unwrap();
    let live = batch.iter().filter(|record| record.topic == "a");
    assert!(live.clone().count() > 1, "some are in both");
    all.extend(
        live.filter(|record| record.position >= start)
            .map(|record| record.id.0),
    );
    assert_eq!(all, expected);
    seat.unsubscribe(subscription).unwrap();
}

#[test]
fn the_retained_record_outlives_the_ring() {
    let log = log(SMALL);
    let mut reader = seat(log).reader().unwrap();
    let retain = |name: &str, payload: &[u8]| {
        let flags = Flags {
            retain: true,
            ..Flags::default()
        };
        send(
            log,
            &Message {
                flags,
                time: 9,
                ..message(&topic(name), payload)
            },
        )
    };
    let kept = |name: &str| {
        let mut batch = Batch::new();
        log.retained(&topic(name), &mut batch).unwrap();
        batch
            .iter()
            .next()
            .map(|record| (record.id.0, record.time, record.payload.to_vec()))
    };
    assert_eq!(kept("value"), None);
    retain("value", b"old").unwrap();
    retain("value", b"new").unwrap();
    retain("other", b"1").unwrap();
    let mut count = 3;
    for round in 0..500 {
        publish(log, "a", &vec![2; round]);
        count += 1;
        assert_eq!(
            kept("value"),
            Some((2, 9, b"new".to_vec())),
            "round {round}"
        );
        assert_eq!(kept("other"), Some((3, 9, b"1".to_vec())));
        if round % 4 == 0 {
            // Nobody gets it anew because it has moved.
            let read = read(&mut reader).unwrap();
            assert_eq!(read.last().unwrap().0, count);
            assert!(read.iter().all(|(id, _)| *id + 8 > count));
        }
    }
    assert_eq!(resume(log, "value", 1, &ALL), Err(CannotResume::Overrun));
    assert!(log.forget(&topic("value")).unwrap());
    assert_eq!(kept("value"), None);
    assert_eq!(log.figures().retained, 11 * 8);
}

#[test]
fn retained_records_have_a_limit() {
    let log = log(Layout {
        topics: 100,
        ..SMALL
    });
    let flags = Flags {
        retain: true,
        ..Flags::default()
    };
    let retain = |name: &str, payload: &[u8]| {
        send(
            log,
            &Message {
                flags,
                ..message(&topic(name), payload)
            },
        )
    };
    assert_eq!(retain("large", &[0; 100]), Err(PublishError::RetainedFull));
    let first_refused = (0..100).find(|number| retain(&number.to_string(), b"x").is_err());
    // An eighth of 1,024 words, eleven for each.
    assert_eq!(first_refused, Some(11));
    assert!(retain("3", b"another").is_ok());
    log.forget(&topic("5")).unwrap();
    assert!(retain("new", b"x").is_ok());
}

#[test]
fn in_steps_the_same_is_resumed() {
    let log = log(SMALL);
    interleaved(log);
    for most in [0, 1, 8, 20, 40, 10_000] {
        for since in 0..=30 {
            let whole = resume(log, "a", since, &ALL).unwrap();
            let history = log.history(&topic("a")).unwrap().unwrap();
            let missed = history.missed(token(since), &ALL).unwrap();
            assert!(missed.iter().map(|id| id.0).eq(whole.iter().copied()));
            let (mut steps, mut from, mut batch) = (Vec::new(), since, Batch::new());
            let mut trail = Trail::default();
            loop {
                let history = log.history(&topic("a")).unwrap().unwrap();
                let is_all = history
                    .resume_some(token(from), &ALL, most, &mut trail, &mut batch)
                    .unwrap();
                steps.extend(ids(&batch));
                if is_all {
                    break;
                }
                assert!(!batch.is_empty());
                from = *steps.last().unwrap();
            }
            assert_eq!(steps, whole, "since {since}, {most} bytes at a time");
        }
    }
}

#[test]
fn a_long_way_is_resumed_in_steps_while_others_publish() {
    const MANY: u64 = 300_000;
    let log = log(Layout {
        ring: 32 << 20,
        ..SMALL
    });
    for _ in 0..MANY / 2 {
        publish(log, "a", b"");
        publish(log, "b", b"");
    }
    let (mut trail, mut batch) = (Trail::default(), Batch::new());
    let (mut from, mut steps) = (0, Vec::new());
    let mut more = 0;
    loop {
        let history = log.history(&topic("a")).unwrap().unwrap();
        let since = token(from);
        let is_all = history.resume_some(since, &ALL, 4_000, &mut trail, &mut batch);
        let found: Vec<u64> = ids(&batch);
        if is_all.unwrap() {
            steps.extend(found);
            break;
        }
        from = *found.last().unwrap();
        steps.extend(found);
        more += 1;
        publish(log, "a", b"");
    }
    let all = (1..=MANY).step_by(2).chain(MANY + 1..=MANY + more);
    assert!(steps.iter().copied().eq(all));
    assert!(more > 300, "{more} steps");
}

#[test]
fn a_long_way_that_is_overwritten_or_forgotten_meanwhile_is_told() {
    for is_forgotten in [false, true] {
        let log = log(Layout {
            ring: 1 << 20,
            ..SMALL
        });
        for _ in 0..4_000 {
            publish(log, "a", b"");
        }
        let (mut trail, mut batch) = (Trail::default(), Batch::new());
        let mut step = |since| {
            let history = log.history(&topic("a")).unwrap().unwrap();
            history.resume_some(token(since), &ALL, 100, &mut trail, &mut batch)
        };
        assert_eq!(step(0), Ok(false));
        let expected = match is_forgotten {
            true => {
                log.forget(&topic("a")).unwrap();
                CannotResume::Forgotten
            }
            false => {
                for _ in 0..20_000 {
                    publish(log, "b", b"");
                }
                CannotResume::Overrun
            }
        };
        assert_eq!(step(10), Err(expected));
    }
}

#[test]
fn the_ids_are_those_of_the_records() {
    let log = log(SMALL);
    interleaved(log);
    for messages in [0, 1, 5, usize::MAX] {
        let limits = Limits { messages, ..ALL };
        let history = log.history(&topic("b")).unwrap().unwrap();
        let found: Vec<u64> = history.recent_ids(&limits).iter().map(|id| id.0).collect();
        assert_eq!(found, recent(log, "b", &limits));
    }
}
