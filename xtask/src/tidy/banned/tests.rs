//! Every ban bites on a bad sample and leaves a good one alone.

use super::*;

fn found(path: &str, text: &str) -> Vec<&'static str> {
    check(&Tree::of(&[(path, text)])).into_iter().map(|finding| finding.rule).collect()
}

#[test]
fn a_select_that_draws_its_order_is_found() {
    assert_eq!(found("a.rs", "tokio::select! { a = b => {} }"), ["select"]);
    assert_eq!(found("a.rs", "select!(a = b => {})"), ["select"]);
    assert_eq!(found("a.rs", "tokio::select! {\n // why\n biased;\n a = b => {} }"), [""; 0]);
    assert_eq!(found("a.rs", "fn select(a: u8) -> bool { select != a }"), [""; 0]);
}

#[test]
fn a_queue_without_a_limit_is_found() {
    assert_eq!(found("a.rs", "use tokio::sync::mpsc::unbounded_channel;"), ["unbounded"]);
    assert_eq!(found("a.rs", "x: UnboundedSender<u8>, y: mpsc::unbounded()"), ["unbounded", "unbounded"]);
    assert_eq!(found("a.rs", "use std::ops::Bound::Unbounded; // unbounded"), [""; 0]);
}

#[test]
fn unfinished_code_and_ignored_tests_are_found() {
    assert_eq!(found("a.rs", "todo!() unimplemented!(\"x\") dbg!(1)"), ["unfinished"; 3]);
    assert_eq!(found("a.rs", "#[ignore]\nfn a() {}\n# [ ignore = \"slow\" ]"), ["ignored-test"; 2]);
    assert_eq!(found(RUN_BY_A_STEP[0], "#[ignore = \"needs Python\"]\nfn a() {}"), [""; 0]);
    assert_eq!(found("a.rs", "let ignore = a[ignore]; // todo!()"), [""; 0]);
}

#[test]
fn a_test_that_sleeps_is_found_unless_time_is_paused() {
    let body = "fn a() { sleep(x).await; }";
    assert_eq!(found("a/tests.rs", body), ["sleep"]);
    assert_eq!(found("a/tests/b.rs", "tokio::time::sleep_until(x)"), ["sleep"]);
    assert_eq!(found("src/a.rs", &format!("#[cfg(test)]\nmod tests {{ {body} }}")), ["sleep"]);
    assert_eq!(found("src/a.rs", body), [""; 0]);
    assert_eq!(found("a/tests.rs", &format!("#[tokio::test(start_paused = true)]\n{body}")), [""; 0]);
    assert_eq!(found("a/tests.rs", &format!("//! Runs under paused time.\n{body}")), [""; 0]);
}

#[test]
fn a_mutant_outside_its_crates_is_found() {
    assert_eq!(found("services/access/src/a.rs", "if mutant!(\"x\") {}"), ["mutant"]);
    assert_eq!(found("services/state/src/a.rs", "if mutant!(\"x\") {}"), [""; 0]);
}

#[test]
fn a_service_that_names_a_backend_is_found() {
    assert_eq!(found("services/state/src/a.rs", "use sterna_log::memory::Broker;"), ["backend"]);
    assert_eq!(
        found("services/state/src/a.rs", "use sterna_storage::{\n Table,\n redis::Redis,\n};"),
        ["backend"]
    );
    assert_eq!(found("simulation/src/a.rs", "sterna_log::memory::Broker::new()"), ["backend"]);
    assert_eq!(found("services/cluster/src/a.rs", "use sterna_log::memory::Broker;"), [""; 0]);
    assert_eq!(
        found("services/state/src/a.rs", "use sterna_log::memory_limits; use sterna_log::Log;"),
        [""; 0]
    );
    assert_eq!(found("services/state/src/a/tests.rs", "use sterna_log::memory::Broker;"), [""; 0]);
}

#[test]
fn a_map_on_the_wire_is_found() {
    assert_eq!(found("a.proto", "message A {\n  map <string, uint64> heads = 1;\n}"), ["proto-map"]);
    assert_eq!(found("a.proto", "// no map<string, uint64>\nrepeated Head heads = 1;"), [""; 0]);
}
