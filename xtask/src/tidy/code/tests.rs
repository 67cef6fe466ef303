//! What counts as code, and what as test code.

use super::*;

fn words(source: &str) -> Vec<String> {
    Code::of("a.rs", source).words().into_iter().map(|word| word.text).collect()
}

#[test]
fn comments_and_literals_are_no_code() {
    assert_eq!(words("a // b\n /* c /* d */ e */ f"), ["a", "f"]);
    assert_eq!(words(r#"a "b \" c" d b"e" f"#), ["a", "d", "b", "f"]);
    assert_eq!(words("a r#\"b \" c\"# d br\"e\\\" f"), ["a", "r", "d", "br", "f"]);
    assert_eq!(words("r#type x"), ["r", "type", "x"]);
}

#[test]
fn a_lifetime_is_code_and_a_character_is_not() {
    assert_eq!(words("&'a str, 'b', '\\'', '\"' c"), ["a", "str", "c"]);
}

#[test]
fn lines_stay_where_they_were() {
    let code = Code::of("a.rs", "\"two\nlines\"\n/* and\ntwo */ word");
    assert_eq!(code.words()[0].line, 4);
}

#[test]
fn code_under_cfg_test_is_test_code() {
    let code =
        Code::of("src/a.rs", "fn a() {}\n#[cfg(test)]\nmod tests {\n fn b() { if x {} }\n}\nfn c() {}\n");
    assert_eq!(
        (1..=6).map(|line| code.in_test(line)).collect::<Vec<_>>(),
        [false, true, true, true, true, false]
    );
}

#[test]
fn a_test_module_in_its_own_file_marks_only_its_line() {
    let code = Code::of("src/a.rs", "#[cfg(test)]\nmod tests;\nfn c() { let x = 1; }\n");
    assert!(code.in_test(2) && !code.in_test(3));
    assert!(Code::of("src/a/tests.rs", "fn a() {}").in_test(1));
    assert!(Code::of("log/tests/contract.rs", "fn a() {}").in_test(1));
}

#[test]
fn what_stands_around_a_word_is_seen_without_blanks() {
    let code = Code::of("a.rs", "tokio::select ! {\n  // why\n  biased;\n}");
    let word = &code.words()[1];
    assert_eq!(code.before(word, 2), "::");
    assert_eq!(code.after(word, 9), "!{biased;");
}
