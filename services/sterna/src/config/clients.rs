//! What `[listen]`, `[operator]` and `[drain]` say to others: addresses, the URL that clients are told, the
//! pages that may connect, and bounds that a system can have.
//!
//! What can never work is refused; what works for some, and not for who comes from elsewhere, is a warning.
//! Whether an address is free, and how many files the system gives, only `serve` learns.

use std::net::{IpAddr, SocketAddr};

use http::Uri;

use super::{Config, Error};

/// Most sessions, and most connections: several times what a machine's memory and ports are good for.
pub(super) const SOCKETS: usize = 10_000_000;
/// Longest notice before sessions are sent away, seconds.
const NOTICE_S: u32 = 3_600;

impl Config {
    /// What others are told and asked for can be.
    pub(super) fn reachable(&self) -> Result<(), Error> {
        let value = |field, problem| Err(Error::Value { field, problem });
        let listen = &self.listen;
        for (field, asked) in
            [("listen.sessions", listen.sessions), ("listen.connections", listen.connections)]
        {
            if asked > SOCKETS {
                return value(
                    field,
                    format!("{asked} is more than one process holds: write at most {SOCKETS}"),
                );
            }
        }
        if self.drain.notice_s > NOTICE_S {
            let problem =
                format!("{} s is longer than anybody waits: write at most {NOTICE_S}", self.drain.notice_s);
            return value("drain.notice_s", problem);
        }
        if let Some(operator) = self.operator().filter(|operator| meet(listen.address, *operator)) {
            let problem = format!(
                "{operator} meets [listen] address {}: write another port, or \"\" for none",
                listen.address
            );
            return value("operator.address", problem);
        }
        if !listen.url.is_empty() && !is_url(&listen.url) {
            let problem = format!(
                "{:?} is nothing that clients connect to: write ws:// or wss://, a host and the path, as in \
                 wss://rt.example.com/v1/connect, or nothing for ws:// and the address",
                listen.url
            );
            return value("listen.url", problem);
        }
        match listen.origins.iter().find(|origin| !is_origin(origin)) {
            Some(origin) => value(
                "listen.origins",
                format!("{origin:?} is no page's origin and would match none: write {}", meant(origin)),
            ),
            None => Ok(()),
        }
    }

    /// What clients from elsewhere would make of the address they are told.
    pub(super) fn unreachable(&self) -> Option<String> {
        let address = self.listen.address;
        if !self.listen.url.is_empty() {
            return None;
        }
        if address.ip().is_unspecified() {
            return Some(format!(
                "clients are told to come to {}, which is every address of this machine and of no other: \
                 set [listen] url to how they reach it, as in wss://rt.example.com/v1/connect",
                self.url()
            ));
        }
        (address.port() == 0).then(|| {
            "the system chooses [listen] address' port at each start, and clients are told that one: write a \
             port, or set [listen] url, so that they find it again"
                .to_owned()
        })
    }
}

/// Whether one process cannot listen on both.
fn meet(one: SocketAddr, other: SocketAddr) -> bool {
    // `::` takes IPv4, too; `0.0.0.0` takes nothing else.
    let covers = |one: IpAddr, other: IpAddr| one.is_unspecified() && (one.is_ipv6() || other.is_ipv4());
    let (at, beside) = (one.ip(), other.ip());
    one.port() != 0
        && one.port() == other.port()
        && (at == beside || covers(at, beside) || covers(beside, at))
}

fn is_url(text: &str) -> bool {
    let Ok(url) = text.parse::<Uri>() else { return false };
    let (Some(authority), Some(host)) = (url.authority(), url.host()) else { return false };
    // Clients go there as it is written: what is put before a gateway may have a path of its own, but at `/`
    // everybody would be answered 404.
    let there = !host.is_empty() && !matches!(url.path(), "" | "/");
    let port = authority.as_str().strip_prefix(host).is_some_and(|port| {
        let is_number = |port: &str| port.bytes().all(|b| b.is_ascii_digit());
        let is_port = |port: &str| is_number(port) && port.parse::<u16>().is_ok_and(|n| n > 0);
        port.is_empty() || port.strip_prefix(':').is_some_and(is_port)
    });
    matches!(url.scheme_str(), Some("ws" | "wss")) && there && port && !text.contains('#')
}

/// As browsers write the header `Origin`, which is compared as bytes: scheme and host in small letters, a
/// port unless it is the scheme's own, nothing behind. Pages that have none say `null`.
fn is_origin(text: &str) -> bool {
    if matches!(text, "*" | "null" | "file://") {
        return true;
    }
    let Some((scheme, host)) = text.split_once("://") else { return false };
    let small = |text: &str, more: &[u8]| {
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || more.contains(&byte);
        !text.is_empty() && text.bytes().all(fits)
    };
    let usual = match scheme {
        "http" => host.ends_with(":80"),
        "https" => host.ends_with(":443"),
        _ => false,
    };
    small(scheme, b"+-.") && small(host, b".-_:[]") && !usual
}

/// What to write instead, as far as it can be guessed.
fn meant(origin: &str) -> String {
    let (scheme, rest) = origin.split_once("://").unwrap_or(("https", origin));
    let (scheme, rest) = (scheme.to_ascii_lowercase(), rest.to_ascii_lowercase());
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let usual = if scheme == "http" { ":80" } else { ":443" };
    let guess = format!("{scheme}://{}", host.strip_suffix(usual).unwrap_or(host));
    if is_origin(&guess) {
        format!("\"{guess}\"")
    } else {
        "each as scheme and host, as in \"https://app.example.com\", or \"*\" for every page".to_owned()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::tests::read;

    fn refused(file: &str, says: &[&str]) {
        let Err(error) = read(file) else { panic!("{file}: it was good") };
        for one in says {
            assert!(error.contains(one), "{file}: {one}: {error}");
        }
    }

    #[test]
    fn clients_and_operators_have_an_address_each() {
        for (clients, operators) in [
            ("127.0.0.1:9000", "127.0.0.1:9000"),
            ("0.0.0.0:9000", "127.0.0.1:9000"),
            ("127.0.0.1:9000", "0.0.0.0:9000"),
            ("[::]:9000", "127.0.0.1:9000"),
            ("[::1]:9000", "[::]:9000"),
        ] {
            let file = format!("[listen]\naddress = \"{clients}\"\n[operator]\naddress = \"{operators}\"");
            refused(&file, &["operator.address: ", "meets [listen] address", "another port"]);
        }
        for (clients, operators) in [
            ("127.0.0.1:0", "127.0.0.1:0"),
            ("127.0.0.1:9000", "127.0.0.1:9001"),
            ("10.0.0.1:9000", "127.0.0.1:9000"),
            ("0.0.0.0:9000", "[::1]:9000"),
        ] {
            let file = format!("[listen]\naddress = \"{clients}\"\n[operator]\naddress = \"{operators}\"");
            assert!(read(&file).is_ok(), "{file}");
        }
    }

    #[test]
    fn clients_are_told_a_url_that_they_can_connect_to() {
        let none = ["here", "rt.example.com:80", "http://a/v1/connect", "wss://", "wss:///v1", "ws://a b/c"];
        let more = ["wss://:80/v1", "wss://ana@rt.example.com/v1", "wss://rt.example.com/v1#here"];
        let paths = ["wss://rt.example.com", "wss://rt.example.com/", "wss://rt.example.com/?v1/connect"];
        let ports = [
            "wss://a:/v1/connect",
            "wss://a:0/v1/connect",
            "wss://a:65536/v1/connect",
            "wss://a:+80/v1/connect",
        ];
        for url in none.into_iter().chain(more).chain(paths).chain(ports) {
            refused(&format!("[listen]\nurl = \"{url}\""), &["listen.url: ", "write ws:// or wss://"]);
        }
        for url in ["ws://127.0.0.1:8080/v1/connect", "wss://rt.example.com/v1/connect", "wss://[::1]:9/x"] {
            assert!(read(&format!("[listen]\nurl = \"{url}\"")).is_ok(), "{url}");
        }
    }

    #[test]
    fn an_origin_is_as_browsers_write_it() {
        for (origin, says) in [
            ("app.example.com", "write \"https://app.example.com\""),
            ("https://app.example.com/", "write \"https://app.example.com\""),
            ("http://app.example.com:81/chat", "write \"http://app.example.com:81\""),
            ("HTTPS://App.example.com", "write \"https://app.example.com\""),
            ("HTTPS://app.example.com", "write \"https://app.example.com\""),
            ("https://app.example.com:443", "write \"https://app.example.com\""),
            ("http://app.example.com:80", "write \"http://app.example.com\""),
            ("https://*.example.com", "write each as scheme and host"),
            ("", "write each as scheme and host"),
            ("https://", "write each as scheme and host"),
        ] {
            refused(&format!("[listen]\norigins = [\"*\", \"{origin}\"]"), &["listen.origins: ", says]);
        }
        let good =
            ["*", "null", "file://", "https://a.example:8443", "http://[::1]:3000", "capacitor://localhost"];
        for origin in good {
            assert!(read(&format!("[listen]\norigins = [\"{origin}\"]")).is_ok(), "{origin}");
        }
    }

    #[test]
    fn bounds_are_such_as_a_process_can_have() {
        for limit in ["sessions", "connections"] {
            for asked in ["10000001", "9223372036854775807"] {
                let says = [format!("listen.{limit}: {asked}"), "at most 10000000".to_owned()];
                refused(&format!("[listen]\n{limit} = {asked}"), &[&says[0], &says[1]]);
            }
            let most = read(&format!("[listen]\n{limit} = 10000000")).unwrap();
            assert!(most.handles() > 10_000_000);
        }
        refused("[drain]\nnotice_s = 3601", &["drain.notice_s: 3601 s", "at most 3600"]);
        assert!(read("[drain]\nnotice_s = 3600").is_ok());
    }

    #[test]
    fn an_address_that_is_none_for_clients_is_told() {
        for (listen, says) in [
            ("address = \"0.0.0.0:80\"", Some("come to ws://0.0.0.0:80/v1/connect")),
            ("address = \"[::]:80\"", Some("set [listen] url to how they reach it")),
            ("address = \"127.0.0.1:0\"", Some("write a port, or set [listen] url")),
            ("address = \"0.0.0.0:80\"\nurl = \"wss://a.example/v1/connect\"", None),
            ("address = \"127.0.0.1:80\"", None),
        ] {
            let told = read(&format!("[listen]\n{listen}")).unwrap().unreachable();
            assert_eq!(told.is_some(), says.is_some(), "{listen}: {told:?}");
            assert!(told.unwrap_or_default().contains(says.unwrap_or_default()), "{listen}");
        }
    }
}
