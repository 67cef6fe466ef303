//! `sterna demo` as a program: what its exit code says, and what it prints where no terminal is.

#![allow(clippy::unwrap_used, reason = "a test that meets the unexpected fails right there")]

use std::process::{Command, Output};

fn demo(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sterna"));
    command.arg("demo").args(["--people", "6", "--rate", "40"]).args(arguments);
    command.output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn every_promise_kept_is_exit_code_0_and_plain_text() {
    let output = demo(&["--seconds", "4"]);
    let shown = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{shown}{}", text(&output.stderr));
    assert!(shown.ends_with("every promise kept\n"), "{shown}");
    assert!(shown.contains("is cut off from the other regions"), "progress is told: {shown}");
    assert!(!shown.contains('\u{1b}'), "no colours, no cursor: {shown:?}");
    assert_eq!(text(&output.stderr), "");
}

#[test]
fn a_broken_promise_is_another_exit_code_and_stands_in_the_json() {
    let output = demo(&["--seconds", "3", "--json", "--sabotage", "twice"]);
    let shown = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{shown}{}", text(&output.stderr));
    let report: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(report["kept"], false);
    assert_eq!(report["verdict"]["shown_twice"], 1);
    assert_eq!(report["regions"].as_array().unwrap().len(), 3);
    assert_eq!(report["delivery"].as_array().unwrap().len(), 9);
}

#[test]
fn what_cannot_be_says_what_would_do() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (arguments, says) in [
        (["--regions", "us-east-1,moon-north-1"], "choose among ap-northeast-1"),
        (["--listen", &address], "choose a free address"),
    ] {
        let output = demo(&arguments);
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.contains(says), "{told}");
    }
}
