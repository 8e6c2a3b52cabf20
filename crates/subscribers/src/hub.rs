//! A process's part of the log: who subscribes to what, and one round of delivering.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};
use std::time::Duration;

use topics::{
    Batch, Bell, CannotResume, EnterError, History, Limits, LockError, Log, Member, Membership,
    Reader, Record, RecordId, Seat, SubscribeError, Subscription, Token, Topic,
};

use crate::footprint::Fetch;
use crate::form::{Prepared, Recovery};
use crate::late::{Late, Owed};
use crate::outlet::Outlet;
use crate::subscriber::{Pace, Part, Subscriber};
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use crate::tally::Tally;
use crate::terms::{Since, Terms};

/// How many topics one subscriber may have.
pub const MOST_TOPICS: usize = 128;

/// How soon the thread that delivers looks again whether the log's lock is to be had.
const AGAIN: Duration = Duration::from_millis(20);

/// By the topic's slot, its subscribers by their numbers.
type Audience = HashMap<u32, Arc<BTreeMap<u64, Arc<Subscriber>>>>;

/// A process's subscribers. Every function may be called from any thread, [`Hub::pump`] from one at a time.
pub struct Hub {
    log: Log<'static>,
    seat: Seat<'static>,
    /// The same two, for who must not wait: all but who subscribes.
    impatient_log: Log<'static>,
    impatient_seat: Seat<'static>,
    bell: Box<dyn Bell + Send + Sync>,
    fetch: Fetch,
    audience: RwLock<Audience>,
    late: Late,
    next: AtomicU64,
}

/// Why somebody is not subscribed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Subscribing {
    /// To more than [`MOST_TOPICS`].
    TooMany,
    /// The log refuses.
    Refused(SubscribeError),
    /// It cannot be the member that it wants to be.
    NoMember(EnterError),
}

impl fmt::Display for Subscribing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subscribing::TooMany => {
                write!(f, "a WebSocket subscribes to {MOST_TOPICS} topics at most")
            }
            Subscribing::Refused(error) => error.fmt(f),
            Subscribing::NoMember(error) => error.fmt(f),
        }
    }
}

impl Hub {
    /// For a process that has a seat at the log.
    pub fn new(
        log: Log<'static>,
        seat: Seat<'static>,
        bell: impl Bell + Send + Sync + 'static,
    ) -> Self {
        Hub {
            impatient_log: log.impatient(),
            impatient_seat: seat.impatient(),
            log,
            seat,
            bell: Box::new(bell),
            fetch: |_| {},
            audience: RwLock::default(),
            late: Late::default(),
            next: AtomicU64::new(0),
        }
    }

    /// The same, which has memory fetched ahead.
    pub fn fetching(mut self, fetch: Fetch) -> Self {
        self.fetch = fetch;
        self
    }

    /// The log.
    pub fn log(&self) -> &Log<'static> {
        &self.log
    }

    /// The process's reader, which begins at the log's end. There is one.
    pub fn reader(&self) -> Result<Reader<'static>, LockError> {
        self.seat.reader()
    }

    /// Has the reader return from its wait, because the process ends.
    pub fn ring(&self) {
        self.seat.ring(&*self.bell);
    }

    /// How many subscribers of a topic this process has.
    pub fn subscribers(&self, topic: &Topic) -> Result<u64, LockError> {
        self.seat.subscribers(topic)
    }

    /// Subscribes to some topics, and hands `outlet` what it is to get before what is published from now on.
    pub fn subscribe(
        &self,
        topics: Vec<Topic>,
        since: impl Into<Since>,
        terms: Terms,
        outlet: Weak<dyn Outlet>,
    ) -> Result<Arc<Subscriber>, Subscribing> {
        self.subscribe_as(None, topics, since.into(), terms, outlet)
    }

    /// [`Hub::subscribe`] as a member of the first topic. The other members are told of it, and it is, too, behind everything
    /// that it has missed; `true`: only if nobody is called so.
    pub fn subscribe_as(
        &self,
        member: Option<(&Member, bool)>,
        topics: Vec<Topic>,
        since: Since,
        terms: Terms,
        outlet: Weak<dyn Outlet>,
    ) -> Result<Arc<Subscriber>, Subscribing> {
        self.subscribe_with(member, topics, since, terms, (outlet, Arc::default()))
    }

    /// [`Hub::subscribe_as`] of one of several subscribers with one outlet, which have one pace.
    pub(crate) fn subscribe_with(
        &self,
        member: Option<(&Member, bool)>,
        topics: Vec<Topic>,
        since: Since,
        terms: Terms,
        outlet: (Weak<dyn Outlet>, Arc<Pace>),
    ) -> Result<Arc<Subscriber>, Subscribing> {
        let topics = without_doubles(topics);
        if topics.len() > MOST_TOPICS {
            return Err(Subscribing::TooMany);
        }
        let (subscriptions, histories) = self.count_in(&topics)?;
        let now = histories.first().map(History::token);
        let now = now.ok_or(Subscribing::TooMany)?;
        let membership = match self.enter(member, &subscriptions) {
            Ok(membership) => membership,
            Err(error) => {
                self.count_out(subscriptions);
                return Err(Subscribing::NoMember(error));
            }
        };
        let slots: Vec<u32> = subscriptions.iter().map(Subscription::slot).collect();
        let (recovery, from) = match since {
            Since::Now => (Recovery::New, now),
            Since::Id(since) => match is_all_there(&histories, since, &terms) {
                Ok(()) => {
                    Tally::new(&self.seat).resumed(&slots);
                    (Recovery::Recovered, since)
                }
                Err(reason) => {
                    let lost = lost(&slots, &histories, since, &terms);
                    Tally::new(&self.seat).gap(&lost);
                    (Recovery::Lost(reason.to_string()), now)
                }
            },
            Since::Last(count) => (Recovery::New, before_last(&histories, count, &terms)),
        };
        let parts = topics.into_iter().zip(&subscriptions);
        let parts = parts
            .map(|(topic, subscription)| Part {
                topic,
                slot: subscription.slot(),
                start: subscription.start(),
            })
            .collect();
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let subscriber = Subscriber::new(
            (number, now.epoch),
            outlet,
            terms,
            parts,
            (subscriptions, membership),
            from.id,
            &recovery,
        );
        subscriber.greet(&recovery, from);
        {
            let mut audience = self.audience_mut();
            for part in &subscriber.parts {
                let subscribers = audience.entry(part.slot).or_default();
                Arc::make_mut(subscribers).insert(number, Arc::clone(&subscriber));
            }
        }
        self.go_on(&subscriber);
        if subscriber.membership().is_some() {
            self.settle(Owed::Announce(Arc::downgrade(&subscriber)));
        }
        Ok(subscriber)
    }

    /// Hands a subscriber what it has not got yet, as far as its outlet has room.
    pub fn go_on(&self, subscriber: &Subscriber) {
        let mut tally = Tally::new(&self.seat);
        subscriber.go_on(&self.impatient_log, &mut tally);
        if self.delay(&mut tally) {
            // The thread that delivers may have gone to sleep for longer.
            self.ring();
        }
    }

    /// A subscriber is gone.
    pub fn leave(&self, subscriber: &Subscriber) {
        subscriber.end();
        {
            let mut audience = self.audience_mut();
            for part in &subscriber.parts {
                if let Some(subscribers) = audience.get_mut(&part.slot) {
                    Arc::make_mut(subscribers).remove(&subscriber.number);
                    if subscribers.is_empty() {
                        audience.remove(&part.slot);
                    }
                }
            }
        }
        let membership = subscriber.membership().take();
        if let Some(membership) = membership {
            self.settle(Owed::Exit(membership));
        }
        let subscriptions = std::mem::take(
            &mut *subscriber
                .subscriptions
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
        self.count_out(subscriptions);
    }

    /// Delivers what the reader finds, some of it; says whether there was anything.
    pub fn pump(&self, reader: &mut Reader<'static>, batch: &mut Batch) -> bool {
        self.catch_up();
        if reader.skip(|| self.audience().is_empty()) {
            return true;
        }
        let mut touched = Vec::new();
        let mut tally = Tally::new(&self.seat);
        let has_read = match reader.next(batch) {
            Ok(()) => {
                let records: Vec<Record<'_>> = batch.iter().collect();
                let runs = || records.chunk_by(|one, other| one.slot == other.slot);
                let is_only = runs().count() == 1;
                for run in runs() {
                    self.deliver(run, is_only, &mut touched, &mut tally);
                }
                !batch.is_empty()
            }
            Err(gap) => {
                let everybody: BTreeMap<u64, Arc<Subscriber>> = {
                    let audience = self.audience();
                    let all = audience.values().flat_map(|subscribers| subscribers.iter());
                    all.map(|(&number, it)| (number, Arc::clone(it))).collect()
                };
                for subscriber in everybody.values() {
                    alone(subscriber, || subscriber.lag(&gap));
                }
                true
            }
        };
        // What one connection gets in this round leaves in as few writes as can be.
        for subscriber in touched {
            subscriber.is_touched.store(false, Ordering::Relaxed);
            alone(&subscriber, || subscriber.flush());
        }
        self.delay(&mut tally);
        has_read
    }

    /// Waits until there is something to deliver, for so long at most; not at all when `is_over` says so. Who makes that true
    /// rings afterwards ([`Hub::ring`]).
    pub fn wait(&self, reader: &Reader<'static>, most: Duration, is_over: impl FnOnce() -> bool) {
        let is_calm = self.late.is_empty();
        let most = match is_calm {
            true => most,
            false => most.min(AGAIN),
        };
        // Who was late in between has rung before the bell is looked at.
        let is_over = || is_over() || (is_calm && !self.late.is_empty());
        reader.wait_unless(is_over, &*self.bell, most);
    }

    /// Has those go on who have found the log's lock not to be had, and does what is owed.
    fn catch_up(&self) {
        if self.late.is_empty() {
            return;
        }
        let is_busy = || self.impatient_log.is_busy();
        let late = &self.late;
        for (slot, number) in late.catch_up(&self.impatient_seat, &*self.bell, is_busy) {
            let subscribers = self.audience().get(&slot).map(Arc::clone);
            if let Some(subscriber) = subscribers.as_ref().and_then(|all| all.get(&number)) {
                subscriber.call_again();
            }
        }
    }

    /// Says whether anybody is to go on later.
    fn delay(&self, tally: &mut Tally<'_>) -> bool {
        let delayed = tally.delayed();
        for &subscriber in &delayed {
            self.late.delay(subscriber);
        }
        !delayed.is_empty()
    }

    fn settle(&self, owed: Owed) {
        if self.late.settle(&self.impatient_seat, &*self.bell, owed) {
            self.ring();
        }
    }

    /// Delivers records of one topic: to each subscriber all of them, so that what its connection is made of is fetched once.
    /// Where these are all of the round, they leave at once as well, since nothing else can leave with them.
    fn deliver(
        &self,
        records: &[Record<'_>],
        is_only: bool,
        touched: &mut Vec<Arc<Subscriber>>,
        tally: &mut Tally<'_>,
    ) {
        // Who comes or goes meanwhile does not wait until all have it. Who comes later than this finds these in the log.
        let slot = records.first().map(|record| record.slot);
        let subscribers = slot.and_then(|slot| self.audience().get(&slot).map(Arc::clone));
        let Some(subscribers) = subscribers else {
            return;
        };
        let epoch = self.log.epoch();
        let records = records.iter();
        let prepared: Vec<Prepared<'_>> = records
            .map(|&record| Prepared::new(record, epoch, subscribers.len()))
            .collect();
        // While one gets its own, the memory of the next ones comes.
        let mut next = subscribers.values().skip(1);
        let mut next_but_one = subscribers.values().skip(2);
        for subscriber in subscribers.values() {
            if let Some(subscriber) = next_but_one.next() {
                subscriber.fetch(self.fetch);
            }
            if let Some(subscriber) = next.next() {
                subscriber.fetch_outlet(self.fetch);
            }
            let deliver = || {
                let mut has_any = false;
                for prepared in &prepared {
                    has_any |= subscriber.deliver(&self.impatient_log, prepared, tally);
                }
                if has_any && is_only {
                    subscriber.flush();
                }
                has_any
            };
            if alone(subscriber, deliver).unwrap_or(true) && !is_only {
                touch(subscriber, touched);
            }
        }
    }

    fn enter(
        &self,
        member: Option<(&Member, bool)>,
        subscriptions: &[Subscription],
    ) -> Result<Option<Membership>, EnterError> {
        let Some(((member, is_unique), subscription)) = member.zip(subscriptions.first()) else {
            return Ok(None);
        };
        let entered = self.seat.enter(subscription, member, is_unique);
        entered.map(Some)
    }

    /// Counts a subscriber of each topic in, or of none.
    #[allow(clippy::type_complexity)]
    fn count_in(
        &self,
        topics: &[Topic],
    ) -> Result<(Vec<Subscription>, Vec<History<'static>>), Subscribing> {
        let (mut subscriptions, mut histories) = (Vec::new(), Vec::new());
        for topic in topics {
            match self.seat.subscribe(topic) {
                Ok((subscription, history)) => {
                    subscriptions.push(subscription);
                    histories.push(history);
                }
                Err(error) => {
                    self.count_out(subscriptions);
                    return Err(Subscribing::Refused(error));
                }
            }
        }
        Ok((subscriptions, histories))
    }

    fn count_out(&self, subscriptions: Vec<Subscription>) {
        for subscription in subscriptions {
            self.settle(Owed::Leave(subscription));
        }
    }

    fn audience(&self) -> RwLockReadGuard<'_, Audience> {
        self.audience.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn audience_mut(&self) -> RwLockWriteGuard<'_, Audience> {
        self.audience
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Does a step for one subscriber: a panic in it, as of its outlet's transport, closes that subscriber, and the others get what is
/// theirs.
fn alone<T>(subscriber: &Subscriber, step: impl FnOnce() -> T) -> Option<T> {
    let done = catch_unwind(AssertUnwindSafe(step));
    // The process's panic hook has told.
    done.map_err(|_| catch_unwind(AssertUnwindSafe(|| subscriber.fail())))
        .ok()
}

fn touch(subscriber: &Arc<Subscriber>, touched: &mut Vec<Arc<Subscriber>>) {
    if !subscriber.is_touched.swap(true, Ordering::Relaxed) {
        touched.push(Arc::clone(subscriber));
    }
}

fn without_doubles(topics: Vec<Topic>) -> Vec<Topic> {
    let mut once: Vec<Topic> = Vec::with_capacity(topics.len().min(MOST_TOPICS));
    for topic in topics {
        if !once.contains(&topic) {
            once.push(topic);
        }
    }
    once
}

/// Whether what was published since then is there, of every topic.
fn is_all_there(
    histories: &[History<'static>],
    since: Token,
    terms: &Terms,
) -> Result<(), CannotResume> {
    let limits = terms.limits();
    for history in histories {
        history.missed(since, &limits)?;
    }
    Ok(())
}

/// The topics of which something was published since then, be it known what or not.
fn lost(slots: &[u32], histories: &[History<'static>], since: Token, terms: &Terms) -> Vec<u32> {
    let limits = terms.limits();
    let all = slots.iter().zip(histories);
    let is_whole = |history: &History<'static>| {
        let missed = history.missed(since, &limits);
        missed.is_ok_and(|ids| ids.is_empty())
    };
    all.filter(|(_, history)| !is_whole(history))
        .map(|(&slot, _)| slot)
        .collect()
}

/// What a subscriber knows that is to get so many of the latest messages.
fn before_last(histories: &[History<'static>], count: usize, terms: &Terms) -> Token {
    let limits = Limits {
        messages: count.min(terms.messages),
        ..terms.limits()
    };
    let ids = histories
        .iter()
        .flat_map(|history| history.recent_ids(&limits));
    let mut ids: Vec<RecordId> = ids.collect();
    ids.sort_unstable_by(|one, other| other.cmp(one));
    ids.truncate(limits.messages);
    let now = histories
        .first()
        .map(History::token)
        .expect("a subscriber has a topic");
    let first = ids.last().map_or(now.id, |first| RecordId(first.0 - 1));
    Token { id: first, ..now }
}
