"""Files that every later version has to read."""
