"""`make soak`: what a year of old messages costs, and what millions of moves leave behind (docs/performance.md)."""
