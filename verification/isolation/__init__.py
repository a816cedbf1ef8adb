"""A Python subject in a process of its own: what it does there, the judge survives.

The two sides exchange lines of JSON. Problems are built in and cross by their names; arrays cross as their bytes, with
a dtype and a shape that are checked. Nothing that comes from the subject's process is unpickled or evaluated.

`host` and `subject` are the judge's side; `child` is the program that a subject runs in, which imports no more of the
judge than it needs. A model of one's own is judged where it is: `verification.models` has that program, whose report
crosses as `records`, and `standing` tells whether the judge there is still itself.
"""
