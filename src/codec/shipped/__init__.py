"""The bundles that ship with the package; made by the commands in docs/training.md."""
