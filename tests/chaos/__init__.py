"""`make chaos`: break everything that can break, and look whether a promise broke with it."""
