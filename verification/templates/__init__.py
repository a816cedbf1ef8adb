"""Adapters to begin with, each a whole file that passes as it stands: the command ``refmaml init`` prints them."""
