"""Speed and memory: `make bench`. Nothing here passes or fails; it prints what was measured, each beside a baseline of the same run."""
