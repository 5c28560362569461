# Short names for what cargo does anyway; nothing here that `cargo` alone could not.

# List everything.
default:
    @just --list --unsorted

# A server with simulated GPUs, in the foreground.
dev:
    cargo run -- up --simulate 8xA100-80GB

# Every test of the project.
test *words:
    cargo xtask test {{words}}

# Exactly what must pass before a change goes in.
ci:
    .ci/run

# The house rules that a compiler does not check.
tidy:
    cargo xtask tidy

# The numbers, measured against real servers: --quick, --only NAME, --list.
bench *words:
    cargo xtask bench {{words}}

# Format everything.
fmt:
    cargo fmt --all
