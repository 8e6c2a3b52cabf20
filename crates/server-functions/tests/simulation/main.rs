//! Topics in the session's simulated world: children with real sessions at one log, clients that come and go, slow ones,
//! children that die, and a seed that decides everything. Run by scripts/simulate.
//!
//! A step of the schedule is a step of the sessions or of the crate `subscribers`; what is done at the log is one, for its
//! own tests take that apart.
#![cfg(shuttle)]

#[path = "../../../session/tests/simulation/chance.rs"]
mod chance;
mod child;
mod client;
mod connection;
mod driver;
mod journal;
#[path = "../../../session/tests/simulation/letter.rs"]
#[allow(dead_code, reason = "the session's simulation has use for all of it")]
mod letter;
mod memory;
mod model;
#[path = "../../../session/tests/simulation/network.rs"]
#[allow(dead_code, reason = "the same")]
mod network;
#[path = "../../../session/tests/simulation/poller.rs"]
#[allow(dead_code, reason = "the same")]
mod poller;
mod promises;
mod rest;
#[path = "../../../session/tests/simulation/runner.rs"]
mod runner;
#[path = "../../../session/tests/simulation/schedule.rs"]
mod schedule;
mod server;
mod settings;
#[path = "../../../session/tests/simulation/transport.rs"]
mod transport;
#[path = "../../../session/tests/simulation/world.rs"]
#[allow(dead_code, reason = "the same")]
mod world;

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use topics::{Flags, Publisher};

use crate::child::{Town, locked};
use crate::client::Client;
use crate::journal::TOPICS;
use crate::rest::Rest;
use crate::runner::Simulation;
use crate::world::World;

/// Seeds that once failed, or that find a fault of scripts/faults which few others find.
const KEPT: &[u64] = &[1759, 6475];

/// Rare paths that many seeds have to go, or they prove little.
const REQUIRED: [&str; 14] = [
    "a child dies",
    "a child drains",
    "a client vanishes",
    "a gap is told",
    "a letter finds no room",
    "a ring waits for the end of a turn's input",
    "a slow one is closed",
    "members are counted anew",
    "one is closed over a gap",
    "some are dropped",
    "the log is full",
    "the socket is full",
    "what was missed is lost",
    "what was missed is recovered",
];

/// Lives one seed. Runs as the timekeeper: only when nobody else can take a step.
fn live(seed: u64, origin: Instant, tells: bool, last_world: &Mutex<Option<Arc<World>>>) {
    let world = World::new(seed, origin, tells);
    *last_world.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&world));
    let ring = world.draw(|chance| [8 << 10, 8 << 10, 64 << 10][chance.below(3) as usize]);
    let town = Town::new(&world, memory::log(seed, ring));
    for _ in 0..world.draw(|chance| chance.within(1, 3)) {
        town.start_child();
    }
    for number in 0..world.draw(|chance| chance.within(1, 4)) {
        let client = Client::new(&town, number as usize);
        town.spawn(move || client.live());
    }
    for _ in 0..world.draw(|chance| chance.within(1, 2)) {
        let its = Arc::clone(&town);
        town.spawn(move || publish(&its));
    }
    let its = Arc::clone(&town);
    town.spawn(move || watch(&its));
    let its = Arc::clone(&town);
    town.spawn(move || meddle(&its));
    let mut rest = Rest::new(&town, ring);
    loop {
        // Until nobody else can take a step.
        shuttle::thread::yield_now();
        if !rest.goes_on() {
            break;
        }
    }
    world.end();
    let children = locked(&town.children).clone();
    for child in children {
        for connection in child.connections() {
            connection.dies();
        }
        town.forget(&child);
    }
    let tasks = std::mem::take(&mut *locked(&town.tasks));
    for task in tasks {
        task.join().expect("a part of the world has failed");
    }
}

/// Somebody publishes over HTTP, now and then, and much at once.
fn publish(town: &Town) {
    let world = &town.world;
    // Subscribers that are called meanwhile are busy just then; in other worlds, so that nobody helps who must not have to.
    let calls = world.draw(|chance| chance.percent(40));
    for _ in 0..world.draw(|chance| chance.within(2, 8)) {
        world.pause(world.draw(|chance| Duration::from_micros(chance.below(200_000))));
        if world.is_over() {
            return;
        }
        let most = world.draw(|chance| [1, 4, 40][chance.below(3) as usize]);
        for _ in 0..world.draw(|chance| chance.within(1, most)) {
            let (topic, flags) = world.draw(|chance| {
                let flags = Flags {
                    retain: chance.percent(10),
                    ..Flags::default()
                };
                (chance.below(TOPICS as u64) as usize, flags)
            });
            let volatile = !flags.retain && world.draw(|chance| chance.percent(10));
            let flags = Flags { volatile, ..flags };
            if calls && world.draw(|chance| chance.percent(50)) {
                call_some(town);
            }
            let publisher = Publisher::new(town.log, town.bells.clone());
            town.journal
                .publish(world, town.log, (topic, flags, 0), |message| {
                    publisher.publish(message)
                });
        }
    }
}

/// Has some connection's turn look after its subscriptions.
fn call_some(town: &Town) {
    let all = town.connections();
    let world = &town.world;
    let chosen = world.draw(|chance| chance.below(all.len().max(1) as u64));
    if let Some(connection) = all.get(chosen as usize) {
        connection.session.call();
    }
}

/// The parent: children die or drain, and others take their place.
fn watch(town: &Town) {
    let world = &town.world;
    for _ in 0..world.draw(|chance| chance.below(4)) {
        world.pause(world.draw(|chance| Duration::from_micros(chance.below(700_000))));
        let Some(child) = town.some_child().filter(|_| !world.is_over()) else {
            return;
        };
        match world.draw(|chance| chance.percent(60)) {
            true => town.kill(&child),
            false => {
                world.mark("a child drains");
                town.drain(&child);
            }
        }
        if locked(&town.children).len() < 6 {
            town.start_child();
        }
    }
}

/// Threads of plugins: they subscribe, unsubscribe and publish for some client.
fn meddle(town: &Town) {
    let world = &town.world;
    for _ in 0..world.draw(|chance| chance.within(0, 8)) {
        world.pause(world.draw(|chance| Duration::from_micros(chance.below(150_000))));
        let all = town.connections();
        let chosen = world.draw(|chance| chance.below(all.len().max(1) as u64)) as usize;
        let Some(connection) = all
            .get(chosen)
            .filter(|connection| !connection.is_over.load(Ordering::SeqCst))
        else {
            continue;
        };
        let command = world.draw(|chance| {
            let deed = [b'p', b'u', b's'][chance.below(3) as usize];
            [
                deed,
                b'0' + chance.below(TOPICS as u64) as u8,
                b'0' + chance.below(8) as u8,
            ]
        });
        connection.does(&command);
    }
}

#[test]
fn every_subscriber_sees_all_in_order_or_is_told() {
    let simulation = Simulation {
        live,
        kept: KEPT,
        required: &REQUIRED,
        share: 5,
    };
    simulation.run();
}
