"""A Python subject in a process of its own: what it does there, the judge survives.

The two sides exchange lines of JSON. Problems are built in and cross by their names; arrays cross as their bytes, with
a dtype and a shape that are checked. Nothing that comes from the subject's process is unpickled or evaluated.

`host` and `subject` are the judge's side; `child` is the program that a subject runs in, which imports no more of the
judge than it needs.
"""
