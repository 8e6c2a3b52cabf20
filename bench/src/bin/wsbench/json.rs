//! Messages as an application sends them: JSON, alike and never the same.

use std::fmt::Write;

const USERS: [&str; 8] = [
    "nora.berg",
    "t.okafor",
    "lin-wei",
    "maria.s",
    "j.haugen",
    "amelie.r",
    "dev_patel",
    "o.novak",
];
const EVENTS: [&str; 5] = ["page_view", "add_to_cart", "search", "checkout", "sign_in"];
const CITIES: [&str; 6] = ["Oslo", "Lagos", "Taipei", "Lisbon", "Denver", "Pune"];

/// So many messages of `size` bytes each, the same in every run; the end of the last record is cut off.
pub fn messages(count: usize, size: usize) -> Vec<String> {
    let mut numbers = Numbers(0x2545_F491_4F6C_DD1D);
    (0..count)
        .map(|_| {
            let mut message = String::from("[");
            while message.len() < size {
                push_record(&mut numbers, &mut message);
            }
            message.truncate(size);
            message
        })
        .collect()
}

fn push_record(numbers: &mut Numbers, message: &mut String) {
    let mut below = |limit| numbers.below(limit);
    write!(
        message,
        r#"{{"id":{},"user":"{}","event":"{}","at":"2026-03-{:02}T{:02}:{:02}:{:02}.{:03}Z","city":"{}","amount":{}.{:02},"items":[{},{},{}],"ok":{}}},"#,
        100_000 + below(900_000),
        USERS[below(USERS.len())],
        EVENTS[below(EVENTS.len())],
        1 + below(31),
        below(24),
        below(60),
        below(60),
        below(1000),
        CITIES[below(CITIES.len())],
        below(500),
        below(100),
        below(5000),
        below(5000),
        below(5000),
        below(8) > 0,
    )
    .expect("a String takes everything");
}

/// Marsaglia's xorshift: what matters is that it is always the same.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) as usize % limit
    }
}
