"""Exploits: input made to cost its reader much, or to make it do what it should not. None of them work."""
