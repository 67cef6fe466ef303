# A menu, nothing more: anything with an `if` is Rust in xtask.

# What there is
default:
    @just --list

# Everything that must be green before a commit lands
test:
    cargo xtask test

# Format, tidy, clippy and tests
fast:
    cargo xtask test --fast

# Sizes, names, dependency arrows, licences, documents
tidy:
    cargo xtask tidy

# Simulated runs, from seed 1 upwards
sim seeds="20":
    cargo xtask sim --seeds {{ seeds }}

# The known mistakes, each of which the simulation must find
mutants:
    cargo xtask mutants

# Benchmarks, all or one
bench what="":
    cargo xtask bench {{ what }}

# Format the sources
format:
    cargo fmt --all
