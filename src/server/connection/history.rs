use std::time::SystemTime;

use jiff::Timestamp;

use crate::broker::HistoryRequest;
use crate::frame::Command;
use crate::session::{SessionError, SubscribeFrame, Token};

/// What a SUBSCRIBE asks for by its headers, an extension of STOMP: with `history` the last so many
/// messages, with `since` what was published after the one with this token, or since this time
/// (RFC 3339). `now` is the time of day.
pub(super) fn request(
    subscribe: &SubscribeFrame,
    now: SystemTime,
) -> Result<Option<HistoryRequest>, SessionError> {
    let history = subscribe.frame.header("history");
    let since = subscribe.frame.header("since");
    match (history, since) {
        (None, None) => Ok(None),
        (Some(count), None) => last(&count).map(Some),
        (None, Some(since)) => self::since(&since, now).map(Some),
        (Some(_), Some(since)) => {
            Err(invalid("since", &since, "it excludes the header history, which is there too"))
        }
    }
}

fn last(count: &str) -> Result<HistoryRequest, SessionError> {
    let digits = count.bytes().all(|byte| byte.is_ascii_digit());
    let parsed = count.parse().ok().filter(|_| digits).map(HistoryRequest::Last);
    parsed.ok_or_else(|| invalid("history", count, "a number of messages is expected"))
}

fn since(since: &str, now: SystemTime) -> Result<HistoryRequest, SessionError> {
    if let Ok(time) = since.parse::<Timestamp>() {
        // What is to come is not kept: a time in the future is now.
        let ago = now.duration_since(time.into()).unwrap_or_default();
        return Ok(HistoryRequest::Within(ago));
    }
    // Whether it is a token of this destination is for the broker to say.
    match Token::new(since) {
        Ok(_) => Ok(HistoryRequest::After(since.into())),
        Err(_) => Err(invalid("since", since, "a token or a time (RFC 3339) is expected")),
    }
}

fn invalid(header: &'static str, value: &str, expected: &'static str) -> SessionError {
    let value = value.to_owned();
    SessionError::InvalidHeader { command: Command::Subscribe, header, value, expected }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_time_has_an_offset_and_is_told_from_a_token() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000);
        let within = |seconds| Ok(HistoryRequest::Within(Duration::from_millis(seconds)));
        assert_eq!(since("1970-01-01T00:16:30Z", now), within(10_000));
        assert_eq!(since("1970-01-01T01:16:39.5+01:00", now), within(500));
        assert_eq!(since("2970-01-01T00:00:00Z", now), within(0), "a time to come is now");
        assert_eq!(since("1f-42", now), Ok(HistoryRequest::After("1f-42".into())));
        assert!(since("1970-01-01 at noon", now).is_err());
    }

    #[test]
    fn a_count_is_digits() {
        assert_eq!(last("0"), Ok(HistoryRequest::Last(0)));
        for bad in ["", "-1", "+1", "1.5", "all", "99999999999999999999"] {
            let error = last(bad).unwrap_err().to_string();
            assert!(error.contains(&format!("history header of SUBSCRIBE is {bad:?}")), "{error}");
        }
    }
}
