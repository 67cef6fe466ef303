#![allow(clippy::unwrap_used)]

use super::*;

fn region(name: &str) -> Region {
    name.parse().unwrap()
}

/// A topology of these (name, further lines) regions.
fn text(regions: &[(&str, &str)]) -> String {
    let part = |(name, more): &(&str, &str)| {
        format!(
            "[[regions]]\nname = \"{name}\"\n{more}\nendpoints = {{ client = \"c\", internal = \"i\" }}\n"
        )
    };
    regions.iter().map(part).collect()
}

const US: (&str, &str) = ("us-east-1", "witness = \"eu-west-1\"");
const EU: (&str, &str) = ("eu-west-1", "witness = \"us-east-1\"");

fn refused(text: &str) -> String {
    Topology::parse(text).unwrap_err().to_string()
}

#[test]
fn the_embedded_file_is_a_valid_ring_of_witnesses() {
    let demo = Topology::demo();
    let names: Vec<_> = demo.regions().iter().map(|region| region.name.as_str()).collect();
    assert_eq!(names, ["ap-northeast-1", "eu-west-1", "us-east-1"]);
    for plan in demo.regions() {
        assert_eq!(demo.witnessed_by(&plan.name).count(), 1);
        assert_eq!((plan.peers.len(), plan.incarnation), (2, 1));
        assert_eq!(plan.origin().as_str(), plan.name.as_str());
        assert_eq!(demo.region(&plan.name), Some(plan));
    }
    assert_eq!(demo.nearest(&region("eu-central-1")).unwrap().name, region("eu-west-1"));
    assert_eq!(demo.region(&region("us-west-2")), None);
}

#[test]
fn the_embedded_file_explains_every_field() {
    for field in ["name", "witness", "incarnation", "peers", "client", "internal", "between", "ms"] {
        let line = DEFAULT
            .lines()
            .position(|line| line.trim_start_matches("# ").starts_with(&format!("{field} = ")));
        assert!(
            line.is_some_and(|at| DEFAULT.lines().take(at).any(|line| line.starts_with("# "))),
            "{field}"
        );
    }
}

/// E1: a rebuilt region is another origin.
#[test]
fn a_later_incarnation_is_another_origin() {
    let topology =
        Topology::parse(&text(&[("us-east-1", "witness = \"eu-west-1\"\nincarnation = 2"), EU])).unwrap();
    assert_eq!(topology.region(&region("us-east-1")).unwrap().origin().as_str(), "us-east-1~2");
}

#[test]
fn a_single_region_needs_no_witness() {
    let topology = Topology::parse(&text(&[("us-east-1", "")])).unwrap();
    assert_eq!((topology.regions()[0].witness.clone(), topology.regions()[0].peers.len()), (None, 0));
}

/// E1: a region that raised its own number would not notice that it was rebuilt.
#[test]
fn every_mistake_is_named() {
    let itself = ("us-east-1", "witness = \"us-east-1\"");
    let stranger = ("us-east-1", "witness = \"us-west-2\"");
    let cases = [
        (text(&[]) + "regions = []", "0 regions, expected 1 to 16"),
        (text(&[("US", ""), EU]), "name: \"US\" is no region name"),
        (text(&[US, US, EU]), "two regions are named us-east-1"),
        (text(&[itself, EU]), "witness of us-east-1 is the region itself"),
        (text(&[stranger, EU]), "witness of us-east-1: us-west-2 is not a region of this topology"),
        (text(&[("us-east-1", ""), EU]), "us-east-1 has no witness"),
        (
            text(&[("us-east-1", "witness = \"eu-west-1\"\npeers = [\"us-east-1\"]"), EU]),
            "peers of us-east-1 is",
        ),
        (
            text(&[("us-east-1", "witness = \"eu-west-1\"\npeers = [\"x\"]"), EU]),
            "peers of us-east-1: x is not",
        ),
        (
            text(&[("us-east-1", "witness = \"eu-west-1\"\nincarnation = 0"), EU]),
            "the incarnation of us-east-1 is 0",
        ),
        (text(&[US, EU]).replacen("\"c\"", "\"\"", 1), "an endpoint of us-east-1 is empty"),
        (text(&[US, EU]) + "[[round_trips]]\nbetween = [\"a\", \"a\"]\nms = 1", "1 ms between a and a"),
        (text(&[US, EU]) + "[[round_trips]]\nbetween = [\"a\", \"b\"]\nms = 0", "0 ms between a and b"),
        (
            text(&[US, EU]) + "[[round_trips]]\nbetween = [\"a\", \"b\"]\nms = 10001",
            "10001 ms between a and b",
        ),
        (
            text(&[("mars-1", "witness = \"eu-west-1\""), ("eu-west-1", "witness = \"mars-1\"")]),
            "no round trip between eu-west-1 and mars-1 is known",
        ),
    ];
    for (text, expected) in cases {
        let refused = refused(&text);
        assert!(refused.starts_with(expected), "{refused}\nexpected {expected}");
    }
}

#[test]
fn unknown_and_missing_fields_are_refused() {
    let good = text(&[US, EU]);
    assert!(Topology::parse(&good).is_ok());
    let bad = [
        good.clone() + "[[regiosn]]",
        good.replacen("witness", "witnes", 1),
        good.replacen("client =", "clients =", 1),
        good.clone() + "[[round_trips]]\nbetween = [\"a\", \"b\"]",
        good.replacen("name = \"us-east-1\"", "", 1),
    ];
    for text in bad {
        assert!(matches!(Topology::parse(&text), Err(Invalid::Form(_))), "{text}");
    }
}

#[test]
fn the_most_regions_are_sixteen() {
    let names: Vec<_> = (0..=REGIONS_MAX).map(|n| format!("r-{n}")).collect();
    let witness = |n: usize| format!("witness = \"r-{}\"", usize::from(n == 0));
    let plans: Vec<_> = (0..=REGIONS_MAX).map(|n| (names[n].as_str(), witness(n))).collect();
    let plans: Vec<_> = plans.iter().map(|(name, more)| (*name, more.as_str())).collect();
    let pair = |n| format!("[[round_trips]]\nbetween = [\"r-0\", \"r-{n}\"]\nms = {n}\n");
    let pairs: String = (1..=REGIONS_MAX).map(pair).collect();
    assert!(Topology::parse(&(text(&plans[..REGIONS_MAX]) + &pairs)).is_ok());
    assert!(refused(&(text(&plans) + &pairs)).starts_with("17 regions"));
}
