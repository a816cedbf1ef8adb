"""Files whose import ends the process that they are imported in, or keeps it for ever."""

#: A whole file, what the import does, and how the verdict's reason goes on.
AT_IMPORT = {
    "import os\nos._exit(0)\n": "it ended with exit status 0 during `import`",
    "import os\nos.execv('/bin/true', ['true'])\n": "it ended with exit status 0 during `import`",
    "import ctypes\nctypes.string_at(0)\n": "it was ended by SIGSEGV during `import` (mine.py, line 2)",
    "import fcntl, os, time\nfile = open(os.environ['PROTOCOL_HANGS'], 'w')\nfcntl.flock(file, fcntl.LOCK_EX)\n"
    "time.sleep(1000)\n": "it did not answer `import` within 1 s (mine.py, line 4)",
    "import numpy\neaten = []\nwhile True: eaten.append(numpy.ones(2**20))\n": "it used more than 0.25 GiB of memory",
}
