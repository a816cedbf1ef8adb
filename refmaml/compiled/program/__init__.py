"""A recorded cost as a program of ten operations, and the passes over it."""
