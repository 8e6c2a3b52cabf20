//! The table of topics.

use topics::{MakeError, SubscribeError};

use super::*;

#[test]
fn a_topic_that_nobody_uses_makes_room() {
    let log = log(SMALL);
    let seat = seat(log);
    for number in 0..SMALL.topics {
        publish(log, &number.to_string(), b"");
    }
    let held = seat.subscribe(&topic("0")).unwrap().0;
    publish(log, "new", b"");
    let names: Vec<_> = log
        .topics()
        .unwrap()
        .into_iter()
        .map(|topic| topic.name)
        .collect();
    assert_eq!(names.len(), SMALL.topics);
    assert!(names.contains(&"0".to_owned()), "it has a subscriber");
    assert!(
        !names.contains(&"1".to_owned()),
        "nothing was published to it for longest"
    );
    assert_eq!(log.figures().evictions, 1);
    // What it had missed cannot be known any more, what came later can.
    publish(log, "1", b"");
    assert_eq!(resume(log, "1", 1, &ALL), Err(CannotResume::Forgotten));
    assert_eq!(resume(log, "1", 9, &ALL), Ok(vec![10]));
    seat.unsubscribe(held).unwrap();
}

#[test]
fn topics_with_subscribers_stay() {
    let log = log(SMALL);
    let seat = seat(log);
    let held: Vec<_> = (0..SMALL.topics)
        .map(|number| seat.subscribe(&topic(&number.to_string())).unwrap().0)
        .collect();
    assert_eq!(
        seat.subscribe(&topic("new")).err(),
        Some(SubscribeError::TopicsFull)
    );
    assert_eq!(
        send(log, &message(&topic("new"), b"")),
        Err(PublishError::TopicsFull)
    );
    assert!(seat.subscribe(&topic("3")).is_ok());
    for subscription in held.into_iter().take(1) {
        seat.unsubscribe(subscription).unwrap();
    }
    assert!(send(log, &message(&topic("new"), b"")).is_ok());
}

#[test]
fn ten_thousand_topics_are_told_apart() {
    let layout = Layout {
        ring: 4 << 20,
        topics: 10_000,
        seats: 1,
    };
    let log = log(layout);
    for number in 0..25_000 {
        publish(
            log,
            &format!("room/{number}"),
            format!("{number}").as_bytes(),
        );
    }
    let all = log.topics().unwrap();
    assert_eq!(all.len(), 10_000);
    let mut batch = Batch::new();
    for figures in &all {
        let history = log.history(&topic(&figures.name)).unwrap().unwrap();
        history.recent(&ALL, &mut batch);
        let record = batch.iter().next().expect("it is in the ring");
        assert_eq!(
            format!("room/{}", str::from_utf8(record.payload).unwrap()),
            figures.name
        );
        assert_eq!(
            (record.topic, figures.published),
            (figures.name.as_str(), 1)
        );
    }
    let figures = log.figures();
    assert_eq!(
        (figures.topics, figures.evictions, figures.latest.0),
        (10_000, 15_000, 25_000)
    );
}

#[test]
fn a_log_is_found_by_those_who_share_its_memory() {
    let words = words(SMALL);
    assert!(Log::find(words).is_none());
    let log = Log::new(words, SMALL, EPOCH, [1, 2]).unwrap();
    publish(log, "a", b"1");
    let found = Log::find(words).unwrap();
    assert_eq!(
        (found.layout(), found.epoch(), found.latest()),
        (SMALL, EPOCH, RecordId(1))
    );
    publish(found, "a", b"2");
    assert_eq!(recent(log, "a", &ALL), [1, 2]);
    assert!(Log::find(&words[..words.len() - 1]).is_none());
    words[0].fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    assert!(Log::find(words).is_none(), "it is of another form");
}

#[test]
fn layouts_that_are_not_possible() {
    let (words, none) = (words(SMALL), Err(MakeError::Layout));
    let of = |layout| Log::new(words, layout, EPOCH, [1, 2]).map(|_| ());
    assert_eq!(
        of(Layout {
            ring: 4096,
            ..SMALL
        }),
        none
    );
    assert_eq!(
        of(Layout {
            ring: usize::MAX,
            ..SMALL
        }),
        none
    );
    assert_eq!(of(Layout { topics: 0, ..SMALL }), none);
    assert_eq!(of(Layout { seats: 0, ..SMALL }), none);
    assert_eq!(
        of(Layout {
            seats: 5000,
            ..SMALL
        }),
        none
    );
    assert_eq!(
        of(Layout { topics: 9, ..SMALL }),
        none,
        "there are not so many words"
    );
    assert_eq!(of(SMALL), Ok(()));
}
