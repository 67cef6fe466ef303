//! The text format that Prometheus reads (version 0.0.4): families of samples, each with its type and what it
//! means. Names and labels are this program's own and need no escaping; a page is built anew for each answer.

use std::fmt::Write;

/// The media type of a page.
pub const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A page in the making.
#[derive(Debug, Default)]
pub struct Page {
    families: Vec<Family>,
}

#[derive(Debug)]
struct Family {
    name: &'static str,
    kind: &'static str,
    help: &'static str,
    samples: String,
}

/// The labels of a sample.
pub type Labels<'a> = &'a [(&'a str, &'a str)];

impl Page {
    /// What only ever grows, until the process or what it counts for starts anew. The name ends in `_total`.
    pub fn counter(&mut self, name: &'static str, help: &'static str, labels: Labels<'_>, value: u64) {
        self.sample((name, "counter", help), labels, value);
    }

    /// What goes up and down, or is a bound.
    pub fn gauge(&mut self, name: &'static str, help: &'static str, labels: Labels<'_>, value: u64) {
        self.sample((name, "gauge", help), labels, value);
    }

    fn sample(
        &mut self,
        (name, kind, help): (&'static str, &'static str, &'static str),
        labels: Labels<'_>,
        value: u64,
    ) {
        let at = match self.families.iter().position(|family| family.name == name) {
            Some(at) => at,
            None => {
                self.families.push(Family { name, kind, help, samples: String::new() });
                self.families.len() - 1
            }
        };
        let samples = &mut self.families[at].samples;
        samples.push_str(name);
        let labels: Vec<String> = labels.iter().map(|(label, is)| format!("{label}=\"{is}\"")).collect();
        if !labels.is_empty() {
            // Writing to a string does not fail.
            let _ = write!(samples, "{{{}}}", labels.join(","));
        }
        let _ = writeln!(samples, " {value}");
    }

    /// The page as it is sent.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for Family { name, kind, help, samples } in &self.families {
            let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{samples}");
        }
        text
    }

    /// Each family: name, kind, what it means.
    pub fn families(&self) -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
        self.families.iter().map(|family| (family.name, family.kind, family.help))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_of_one_family_stand_together_behind_what_they_mean() {
        let mut page = Page::default();
        page.counter("a_total", "As.", &[("shard", "0")], 1);
        page.gauge("b", "Bs.", &[], 2);
        page.counter("a_total", "As.", &[("shard", "1"), ("x", "y")], 3);
        let expected = "# HELP a_total As.\n# TYPE a_total counter\na_total{shard=\"0\"} 1\n\
                        a_total{shard=\"1\",x=\"y\"} 3\n# HELP b Bs.\n# TYPE b gauge\nb 2\n";
        assert_eq!(page.text(), expected);
    }
}
