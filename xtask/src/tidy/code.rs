//! Rust source with comments and literals blanked, and which of its lines are test code.
//!
//! Enough of a lexer that a check looks at code and never at a sentence or a sample in a string; macro
//! bodies, which a parser would hand back unread, are code like any other. It does not understand types or
//! paths.

/// One file's code. Lines and columns are those of the file.
pub(crate) struct Code {
    text: Vec<char>,
    /// Line of every character, from 1.
    lines: Vec<usize>,
    /// Lines, from and to, under `#[cfg(test)]`.
    tests: Vec<(usize, usize)>,
    /// The whole file is test code, by its path.
    all_tests: bool,
}

/// One identifier or number where it stands.
pub(crate) struct Word {
    pub(crate) text: String,
    pub(crate) line: usize,
    start: usize,
    end: usize,
}

impl Code {
    /// The code of the file at `path`, whose name says whether it holds only tests.
    pub(crate) fn of(path: &str, text: &str) -> Code {
        let text = blank(text);
        let mut line = 1;
        let mut lines = Vec::with_capacity(text.len());
        for &c in &text {
            lines.push(line);
            line += usize::from(c == '\n');
        }
        let mut code = Code { text, lines, tests: Vec::new(), all_tests: is_test_file(path) };
        code.tests = code.find_tests();
        code
    }

    /// Whether this line is compiled for tests only.
    pub(crate) fn in_test(&self, line: usize) -> bool {
        self.all_tests || self.tests.iter().any(|&(from, to)| (from..=to).contains(&line))
    }

    /// Every identifier, keyword and number, in order.
    pub(crate) fn words(&self) -> Vec<Word> {
        let mut words = Vec::new();
        let mut at = 0;
        while at < self.text.len() {
            let start = at;
            while at < self.text.len() && is_word(self.text[at]) {
                at += 1;
            }
            if at > start {
                let text = self.text[start..at].iter().collect();
                words.push(Word { text, line: self.lines[start], start, end: at });
            } else {
                at += 1;
            }
        }
        words
    }

    /// The next `n` characters of code after the word, blanks left out.
    pub(crate) fn after(&self, word: &Word, n: usize) -> String {
        self.text[word.end..].iter().filter(|c| !c.is_whitespace()).take(n).collect()
    }

    /// The `n` characters of code before the word, blanks left out.
    pub(crate) fn before(&self, word: &Word, n: usize) -> String {
        let back: Vec<char> =
            self.text[..word.start].iter().rev().filter(|c| !c.is_whitespace()).take(n).copied().collect();
        back.into_iter().rev().collect()
    }

    /// What stands between the braces that open right after the word and `::`, else nothing.
    pub(crate) fn braces_after(&self, word: &Word) -> String {
        if self.after(word, 3) != "::{" {
            return String::new();
        }
        let open = word.end + self.text[word.end..].iter().position(|&c| c == '{').unwrap_or_default();
        self.text[open..self.closing(open)].iter().collect()
    }

    /// Where the bracket that opens at `open` closes, or the end of the file.
    fn closing(&self, open: usize) -> usize {
        let mut depth = 0_usize;
        for (at, c) in self.text.iter().enumerate().skip(open) {
            match c {
                '{' => depth += 1,
                '}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth == 0 {
                return at;
            }
        }
        self.text.len().saturating_sub(1)
    }

    fn find_tests(&self) -> Vec<(usize, usize)> {
        let mut found = Vec::new();
        for word in self.words().iter().filter(|word| word.text == "cfg") {
            let condition = self.after(word, 9);
            if self.before(word, 2) != "#["
                || !(condition.starts_with("(test)") || condition.starts_with("(all(test"))
            {
                continue;
            }
            let body = self.text[word.end..].iter().position(|c| matches!(c, '{' | ';'));
            let Some(at) = body.map(|offset| word.end + offset) else { continue };
            let end = if self.text[at] == '{' { self.closing(at) } else { at };
            found.push((word.line, self.lines[end]));
        }
        found
    }
}

/// Files that hold nothing but tests.
pub(crate) fn is_test_file(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name == "tests.rs" || ["/tests/", "/benches/"].iter().any(|folder| path.contains(folder))
}

pub(crate) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The source with every comment and literal replaced by blanks; line ends stay.
fn blank(source: &str) -> Vec<char> {
    let text: Vec<char> = source.chars().collect();
    let mut out = text.clone();
    let mut at = 0;
    while at < text.len() {
        let end = skip(&text, at);
        match end {
            Some(end) => {
                for c in &mut out[at..end] {
                    if *c != '\n' {
                        *c = ' ';
                    }
                }
                at = end;
            }
            None if is_word(text[at]) => at = word_or_raw_string(&text, at, &mut out),
            None => at += 1,
        }
    }
    out
}

/// Where the comment or literal that starts at `at` ends, if one starts there.
fn skip(text: &[char], at: usize) -> Option<usize> {
    match (text[at], text.get(at + 1)) {
        ('/', Some('/')) => Some(find(text, at, &['\n']).unwrap_or(text.len())),
        ('/', Some('*')) => Some(block_comment(text, at)),
        ('"', _) => Some(quoted(text, at, '"')),
        ('\'', Some('\\')) => Some(quoted(text, at, '\'')),
        ('\'', Some(_)) if text.get(at + 2) == Some(&'\'') => Some(at + 3),
        _ => None,
    }
}

fn find(text: &[char], from: usize, what: &[char]) -> Option<usize> {
    (from..text.len()).find(|&at| text[at..].starts_with(what))
}

fn block_comment(text: &[char], start: usize) -> usize {
    let (mut depth, mut at) = (0_usize, start);
    while at < text.len() {
        match (text[at], text.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

fn quoted(text: &[char], start: usize, quote: char) -> usize {
    let mut at = start + 1;
    while at < text.len() && text[at] != quote {
        at += if text[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(text.len())
}

/// Goes over a word; if it begins a raw string (`r"`, `br#"`), blanks that string too. Returns where to go
/// on.
fn word_or_raw_string(text: &[char], start: usize, out: &mut [char]) -> usize {
    let mut at = start;
    while at < text.len() && is_word(text[at]) {
        at += 1;
    }
    let prefix: String = text[start..at].iter().collect();
    let hashes = text[at..].iter().take_while(|&&c| c == '#').count();
    if !["r", "br", "cr"].contains(&prefix.as_str()) || text.get(at + hashes) != Some(&'"') {
        return at;
    }
    let mut close = vec!['"'];
    close.extend(std::iter::repeat_n('#', hashes));
    let end = find(text, at + hashes + 1, &close).map_or(text.len(), |found| found + close.len());
    for c in &mut out[at..end] {
        if *c != '\n' {
            *c = ' ';
        }
    }
    end
}

#[cfg(test)]
mod tests;
