"""`make bench`: how fast it is, against what the same machine does without us (docs/performance.md)."""
