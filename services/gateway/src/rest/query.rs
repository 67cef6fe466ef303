//! The query of a request: parameters by name, each at most once. Unknown ones are ignored, as members of
//! bodies are (docs/protocol.md, section 10).

use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sterna_protocol::rest::{Taken, bad};

use super::percent;

/// Parsed parameters, in the order they came.
#[derive(Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// # Errors
    /// `bad_request`: a broken escape, or a name that stands twice.
    pub(super) fn parse(text: &str) -> Taken<Self> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let decoded = percent::decode_query(name).zip(percent::decode_query(value));
            let (name, value) =
                decoded.ok_or_else(|| bad("query", "a parameter is not percent-encoded text"))?;
            pairs.push((name, value));
        }
        let mut names: Vec<&str> = pairs.iter().map(|(name, _)| &**name).collect();
        names.sort_unstable();
        if names.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(bad("query", "a parameter stands there twice"));
        }
        Ok(Self(pairs))
    }

    /// The value of `name`, if it is there.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| &**value)
    }

    /// The value of `name` as what it must be; `detail` tells what that is.
    ///
    /// # Errors
    /// `bad_request`, naming it.
    pub(super) fn value<T: FromStr>(&self, name: &str, detail: &str) -> Taken<Option<T>> {
        self.get(name).map(|text| text.parse().map_err(|_| bad(name, detail))).transpose()
    }

    /// `page`: behind what an earlier answer ended with, from its `next`.
    ///
    /// # Errors
    /// `bad_request`.
    pub(super) fn page<T: FromStr>(&self) -> Taken<Option<T>> {
        let opened = |token: &str| {
            let bytes = URL_SAFE_NO_PAD.decode(token).ok();
            let last =
                bytes.and_then(|bytes| String::from_utf8(bytes).ok()).and_then(|last| last.parse().ok());
            last.ok_or_else(|| bad("page", "a page is the `next` of an earlier answer"))
        };
        self.get("page").map(opened).transpose()
    }

    /// `limit`: from 1 to `most`.
    ///
    /// # Errors
    /// `bad_request`.
    pub(super) fn limit(&self, default: usize, most: usize) -> Taken<usize> {
        let detail = format!("a limit is a number from 1 to {most}");
        let limit = self.value("limit", &detail)?.unwrap_or(default);
        if (1..=most).contains(&limit) { Ok(limit) } else { Err(bad("limit", &detail)) }
    }
}

/// A `next` after which an answer goes on behind `last`.
pub(super) fn token(last: &str) -> String {
    URL_SAFE_NO_PAD.encode(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_stand_once_and_are_decoded_once() {
        let query = Query::parse("from=eu%3A3%2Cus:4&limit=7&&later").unwrap();
        assert_eq!(
            (query.get("from"), query.get("later"), query.get("to")),
            (Some("eu:3,us:4"), Some(""), None)
        );
        assert_eq!(query.limit(100, 500).unwrap(), 7);
        assert_eq!(Query::default().limit(100, 500).unwrap(), 100);
        for twice in ["a=1&a=2", "a=1&%61=2", "a&a"] {
            assert_eq!(Query::parse(twice).unwrap_err().field.as_deref(), Some("query"), "{twice}");
        }
        for limit in ["limit=0", "limit=501", "limit=-1", "limit=", "limit=1e2", "limit=99999999999999999999"]
        {
            let refused = Query::parse(limit).unwrap().limit(100, 500).unwrap_err();
            assert_eq!((&*refused.code, refused.field.as_deref()), ("bad_request", Some("limit")), "{limit}");
        }
        assert!(Query::parse("a=%ff").is_err());
    }
}
