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
fn the_one_topic_without_subscribers_is_found_among_many() {
    let layout = Layout {
        ring: 8 << 10,
        topics: 1000,
        seats: 3,
    };
    let log = log(layout);
    let children = [1, 2].map(|number| log.claim(owner(number), |_| true).unwrap());
    let both =
        |name: &Topic| [0, 1].map(|child: usize| Some(children[child].subscribe(name).unwrap().0));
    let mut held: Vec<_> = (0..layout.topics)
        .map(|number| {
            let name = topic(&number.to_string());
            both(&name)
        })
        .collect();
    for number in [999, 0, 500, 63, 64] {
        // As long as one child has a subscriber, it stays.
        let [one, other] = &mut held[number];
        children[0].unsubscribe(one.take().unwrap()).unwrap();
        let full = send(log, &message(&topic("new"), b""));
        assert_eq!(full, Err(PublishError::TopicsFull));
        children[1].unsubscribe(other.take().unwrap()).unwrap();
        assert_eq!(
            send(log, &message(&topic("new"), b"")).map(|it| it.subscribers),
            Ok(0)
        );
        assert!(log.history(&topic(&number.to_string())).unwrap().is_none());
        let name = topic(&number.to_string());
        held[number] = both(&name);
        assert!(
            log.history(&topic("new")).unwrap().is_none(),
            "it had to go for that one"
        );
    }
    // A child that dies takes its subscribers along, and its topics make room when they were the last.
    let seat = log.claim(owner(3), |_| true).unwrap();
    let [one, other] = &mut held[7];
    let _held = [(); 2].map(|()| seat.subscribe(&topic("7")).unwrap().0);
    children[0].unsubscribe(one.take().unwrap()).unwrap();
    children[1].unsubscribe(other.take().unwrap()).unwrap();
    let is_full = || send(log, &message(&topic("new"), b"")) == Err(PublishError::TopicsFull);
    assert!(is_full());
    assert_eq!(log.sweep(|who| who != owner(3)), Ok(1));
    assert!(!is_full());
}

#[test]
fn the_busiest_topics_are_listed() {
    let log = log(SMALL);
    let seat = seat(log);
    let held = seat.subscribe(&topic("quiet")).unwrap().0;
    for (name, count) in [("b", 2), ("a", 2), ("most", 5), ("least", 1)] {
        for _ in 0..count {
            publish(log, name, b"");
        }
    }
    let names = |count| -> Vec<String> {
        let topics = log.busiest(count).unwrap();
        topics.into_iter().map(|topic| topic.name).collect()
    };
    assert_eq!(names(9), ["most", "a", "b", "least", "quiet"]);
    assert_eq!(names(3), ["most", "a", "b"]);
    assert_eq!(names(1), ["most"]);
    assert_eq!(names(0), [""; 0]);
    let most = &log.busiest(5).unwrap();
    assert_eq!((most[0].published, most[4].subscribers), (5, 1));
    seat.unsubscribe(held).unwrap();
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
    // The forms of earlier and later builds, whose words mean something else.
    let form = words[0].load(std::sync::atomic::Ordering::Relaxed);
    for last in 0..=0xff {
        let other = form & !0xff | last;
        words[0].store(other, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(Log::find(words).is_some(), last == 6, "form {last}");
    }
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
