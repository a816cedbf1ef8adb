"""What a process may cost: the sizes and times that bound a run, whatever the other side does."""

from __future__ import annotations

#: Seconds that an answer of a program may take, unless the caller says otherwise.
TIMEOUT = 10.0
#: The same for a call of a Python subject, and for its import: frameworks compile when they are first called.
PYTHON_TIMEOUT = 60.0
#: Bytes that a process may hold in memory with all that it started, unless the caller says otherwise.
MEMORY = 8.0 * 2**30
#: The most calls that a Python subject may get during one request, each with its own time.
CALLS = 100_000
#: How much of what a Python subject prints is shown, in bytes.
PRINTED = 2**16
#: The longest text about an answer, such as the message of an exception, in characters.
LONGEST_TEXT = 2000
#: The longest line that is read, in bytes; the largest honest answer has a few thousand.
LONGEST_LINE = 2**20
#: The same for a report on a model of one's own, which has gradients of its size.
LONGEST_REPORT = 2**25
#: How much of standard error is kept for a message, in bytes.
STDERR_TAIL = 4096
#: Seconds from `stop`, or the end of standard input, to the end of the program; longer where its answers were slow, or
#: this part of its limit of time is.
GRACE, GRACE_PART = 1.0, 0.1
#: A program that has let one question hang is given at least this long, and this many times its slowest answer to a
#: command; the whole limit for a command that it has not answered yet.
ROPE, ROPE_FACTOR = 0.5, 4.0
#: Seconds until what the program left has gone after it was killed: it ends the wait for what nobody can kill.
BURIAL = 10.0
#: After so many breakdowns the program is not started again: hangs in a row, any in a row, any in all.
HANGS, IN_A_ROW, IN_ALL = 2, 3, 10
#: Nor where more than so many limits of time have been waited in vain.
LOST = 2.0
