"""Learned codecs of other projects, each in an environment of its own and run as separate processes."""
