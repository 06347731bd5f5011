//! Header fields as RFC 9110 §5 reads them: single values, lists and tokens.

use http::header::{HeaderMap, HeaderName};

use super::Rejection;

/// The value of a field that may stand in a request once, without the white space around it.
pub(super) fn single<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> Result<Option<&'a [u8]>, Rejection> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().map(|value| value.as_bytes().trim_ascii());
    match values.next() {
        None => Ok(value),
        Some(_) => Err(Rejection::RepeatedHeader(name.clone())),
    }
}

/// The elements of a list, which may be spread over several fields of one name. Empty elements are
/// left out (RFC 9110 §5.6.1).
pub(super) fn elements<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = &'a [u8]> {
    headers
        .get_all(name)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|element| !element.is_empty())
}

/// Whether a list holds a token, in any case.
pub(super) fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    elements(headers, name).any(|element| element.eq_ignore_ascii_case(token.as_bytes()))
}
