//! Subscribers that have said what they are called.

use crate::memory::{MEMBER, Parts, get, header, put};
use crate::name::Member;

/// All members of all topics. A member counts once its place says whose it is, which is written last, and taken away first:
/// there is nothing to recover.
#[derive(Clone, Copy)]
pub(crate) struct Members<'m>(pub Parts<'m>);

/// In a member's place: the topic's subscribers have been told of it, and are told when it leaves.
const IS_ANNOUNCED: u64 = 1 << 63;

/// Why there is no place for a member.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NoPlace {
    Taken,
    Full,
}

impl Members<'_> {
    /// Gives a member of `seat` a place. `is_unique`: only if nobody of the topic is called so.
    pub fn add(
        self,
        seat: usize,
        slot: u32,
        member: &Member,
        is_unique: bool,
    ) -> Result<u32, NoPlace> {
        let text = member.as_str();
        if is_unique && self.of_topic(slot).any(|index| self.text(index) == text) {
            return Err(NoPlace::Taken);
        }
        let high = self.high();
        let free = (0..high).find(|&index| get(&self.0.member_places[index]) == 0);
        let index = free.unwrap_or(high);
        let words: &[_; MEMBER] = self.0.members.get(index).ok_or(NoPlace::Full)?;
        for (word, bytes) in words[1..].iter().zip(text.as_bytes().chunks(8)) {
            let mut padded = [0; 8];
            padded[..bytes.len()].copy_from_slice(bytes);
            put(word, u64::from_le_bytes(padded));
        }
        put(&words[0], text.len() as u64);
        if index == high {
            put(&self.0.header[header::MEMBERS_HIGH], high as u64 + 1);
        }
        let place = (seat as u64 + 1) << 32 | u64::from(slot);
        put(&self.0.member_places[index], place);
        Ok(index as u32)
    }

    /// The topic's subscribers are being told of a member.
    pub fn announce(self, index: u32) {
        if let Some(place) = self.0.member_places.get(index as usize) {
            put(place, get(place) | IS_ANNOUNCED);
        }
    }

    /// Whether they have been.
    pub fn is_announced(self, index: u32) -> bool {
        let place = self.0.member_places.get(index as usize);
        place.is_some_and(|place| get(place) & IS_ANNOUNCED != 0)
    }

    /// How many members of a topic have been announced.
    pub fn announced(self, slot: u32) -> usize {
        let all = self.of_topic(slot);
        all.filter(|&index| self.is_announced(index)).count()
    }

    /// Takes a member's place away.
    pub fn remove(self, index: u32) {
        if let Some(place) = self.0.member_places.get(index as usize) {
            put(place, 0);
        }
    }

    /// A topic's members.
    pub fn of_topic(self, slot: u32) -> impl Iterator<Item = u32> {
        self.places()
            .filter(move |&(_, place)| place as u32 == slot)
            .map(|(index, _)| index)
    }

    /// A child's members, each with its topic's entry.
    pub fn of_seat(self, seat: usize) -> impl Iterator<Item = (u32, u32)> {
        self.places()
            .filter(move |&(_, place)| (place & !IS_ANNOUNCED) >> 32 == seat as u64 + 1)
            .map(|(index, place)| (index, place as u32))
    }

    /// What a member is called.
    pub fn text(self, index: u32) -> String {
        let Some(words) = self.0.members.get(index as usize) else {
            return String::new();
        };
        let length = usize::try_from(get(&words[0])).unwrap_or(usize::MAX);
        let mut bytes: Vec<u8> = words[1..]
            .iter()
            .flat_map(|word| get(word).to_le_bytes())
            .collect();
        bytes.truncate(length);
        String::from_utf8(bytes).unwrap_or_default()
    }

    fn places(self) -> impl Iterator<Item = (u32, u64)> {
        let places = (0..).zip(&self.0.member_places[..self.high()]);
        places
            .map(|(index, place)| (index, get(place)))
            .filter(|&(_, place)| place != 0)
    }

    fn high(self) -> usize {
        let high = get(&self.0.header[header::MEMBERS_HIGH]);
        let most = self.0.members.len();
        usize::try_from(high).map_or(most, |high| high.min(most))
    }
}
