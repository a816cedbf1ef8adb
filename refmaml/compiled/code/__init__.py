"""From a program to source that a person can read."""
