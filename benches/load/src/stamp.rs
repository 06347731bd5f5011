/// What the body of each message begins with: who published it, which of theirs it is, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    pub publisher: u32,
    /// Counts up from 0 for each publisher.
    pub number: u32,
    /// When the message was sent or, at a fixed rate, when it was due: nanoseconds of the run.
    pub at: u64,
}

impl Stamp {
    /// How many octets of the body it takes: 32 hexadecimal digits.
    pub const LENGTH: usize = 32;

    pub fn write(self, body: &mut [u8; Self::LENGTH]) {
        let value =
            u128::from(self.publisher) << 96 | u128::from(self.number) << 64 | u128::from(self.at);
        for (place, digit) in body.iter_mut().rev().enumerate() {
            // Letters from `a` on, which need no table in either direction.
            *digit = b'a' + (value >> (4 * place) & 0xF) as u8;
        }
    }

    /// `None` if this is the body of none of our messages.
    pub fn read(body: &[u8]) -> Option<Self> {
        let digits: &[u8; Self::LENGTH] = body.first_chunk()?;
        let number = |digits: &[u8]| {
            digits.iter().try_fold(0_u64, |value, digit| {
                let digit = digit.wrapping_sub(b'a');
                (digit < 16).then_some(value << 4 | u64::from(digit))
            })
        };
        Some(Self {
            publisher: number(&digits[..8])? as u32,
            number: number(&digits[8..16])? as u32,
            at: number(&digits[16..])?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_read_as_it_was_written() {
        let stamp = Stamp { publisher: 7, number: u32::MAX, at: 0x0123_4567_89AB_CDEF };
        let mut body = [0; Stamp::LENGTH];
        stamp.write(&mut body);
        assert_eq!(Stamp::read(&body), Some(stamp));
        assert_eq!(Stamp::read(&body[1..]), None);
        body[3] = b'z';
        assert_eq!(Stamp::read(&body), None);
    }
}
