"""A provider to practise on: it takes messages, misbehaves as told, and keeps a ledger.

It is a real HTTP server and an independent witness of what was taken. `python -m
providers.simulator` starts it; docs/simulator.md says what it can be told. It knows nothing of the
platform (no Django, no adapter), so that what it proves is proved from outside.
"""
