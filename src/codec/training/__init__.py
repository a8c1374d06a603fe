"""Training and export: needs the ``train`` extra. Only the command line and the benchmarks import it."""
