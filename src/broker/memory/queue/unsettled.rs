use super::stored::Stored;

/// The messages that one consumer has and has not settled, by their tags.
///
/// A tag says where its message lies, and which one of those that lay there it is: looking one up
/// hashes nothing, and what is settled leaves no gap that would have to be kept.
#[derive(Debug, Default)]
pub(super) struct Unsettled {
    places: Vec<Place>,
    /// The places where nothing lies.
    free: Vec<u32>,
    /// The serial number of the last message. The first one has 1, so that no tag is 0, which says
    /// that there is nothing to settle.
    serial: u32,
}

#[derive(Debug)]
struct Place {
    serial: u32,
    stored: Option<Stored>,
}

/// How many places are kept while nothing lies in them.
const KEPT_PLACES: usize = 128;

impl Unsettled {
    /// Notes a message, and gives it its tag.
    pub(super) fn note(&mut self, stored: Stored) -> u64 {
        self.serial = self.serial.checked_add(1).unwrap_or(1);
        let place = Place { serial: self.serial, stored: Some(stored) };
        let number = match self.free.pop() {
            Some(number) => number,
            // A consumer holds far less than 2³² messages.
            None => u32::try_from(self.places.len()).unwrap_or(u32::MAX),
        };
        match self.places.get_mut(number as usize) {
            Some(free) => *free = place,
            None => self.places.push(place),
        }
        u64::from(self.serial) << 32 | u64::from(number)
    }

    /// Takes out the message with this tag, unless that was done before.
    pub(super) fn take(&mut self, tag: u64) -> Option<Stored> {
        #[allow(clippy::cast_possible_truncation)] // The upper half is the serial number.
        let (serial, number) = ((tag >> 32) as u32, tag as u32);
        let place = self.places.get_mut(number as usize)?;
        let stored = place.stored.take_if(|_| place.serial == serial)?;
        self.free.push(number);
        if self.len() == 0 && self.places.len() > KEPT_PLACES {
            self.places = Vec::new();
            self.free = Vec::new();
        }
        Some(stored)
    }

    /// Takes all of them, in no particular order.
    pub(super) fn take_all(&mut self) -> impl Iterator<Item = Stored> + use<> {
        self.free = Vec::new();
        std::mem::take(&mut self.places).into_iter().filter_map(|place| place.stored)
    }

    pub(super) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }
}
