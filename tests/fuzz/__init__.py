"""Fuzzing: hostile input made by mutation, and what must hold of the library whatever the input."""
