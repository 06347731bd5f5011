use std::time::Duration;

/// A number of bytes: `65536`, `64KiB`, `1MiB`, `2GiB`.
pub(super) fn bytes(text: &str) -> Option<usize> {
    let units = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("B", 1)];
    let (number, unit) = split(text, &units).unwrap_or((text, 1));
    whole(number)?.checked_mul(unit).and_then(|bytes| usize::try_from(bytes).ok())
}

/// A time: `500ms`, `30s`, `10m`, `2h`, `7d`.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let hour = 60 * 60 * 1_000;
    let units = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", hour), ("d", 24 * hour)];
    let (number, unit) = split(text, &units)?;
    whole(number)?.checked_mul(unit).map(Duration::from_millis)
}

/// A whole number, of digits alone.
pub(super) fn whole(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn split<'a>(text: &'a str, units: &[(&str, u64)]) -> Option<(&'a str, u64)> {
    units.iter().find_map(|(name, unit)| Some((text.strip_suffix(name)?, *unit)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_units() {
        assert_eq!(bytes("65536"), Some(65_536));
        assert_eq!(bytes("64KiB"), Some(65_536));
        assert_eq!(bytes("3B"), Some(3));
        for bad in ["", "KiB", "1kb", "-1", "+1", "1.5MiB", "99999999999999999999"] {
            assert_eq!(bytes(bad), None, "{bad}");
        }
        assert_eq!(duration("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(duration("2h"), Some(Duration::from_secs(7200)));
        for bad in ["", "5", "s", "5 s", "-5s", "18446744073709551615d"] {
            assert_eq!(duration(bad), None, "{bad}");
        }
    }
}
