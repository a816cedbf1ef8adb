"""Programs that break the protocol: ``python hostile.py MODE`` is the template, but for what the mode says.

It runs outside of the tests' packages, on the standard library alone.
"""

import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3] / "examples" / "template"))

import harness
import protocol

FOREVER = 1000
MODE = sys.argv[1]
STARTED = []


def say(text):
    sys.stdout.write(text)
    sys.stdout.flush()


def child(**options):
    STARTED.append(subprocess.Popen(["sleep", str(FOREVER)], **options))


def hang():
    """Hold the lock that tells the clock of the tests to let time pass, and do nothing more."""
    with open(os.environ["PROTOCOL_HANGS"], "w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        time.sleep(FOREVER)


def flushed(layout):
    """Return a layout with 0 for each subnormal number."""
    if isinstance(layout, dict):
        return {key: flushed(part) for key, part in layout.items()}
    if isinstance(layout, list):
        return [flushed(part) for part in layout]
    is_number = isinstance(layout, str) and "0x" in layout
    return "0x0p+0" if is_number and 0 < abs(float.fromhex(layout)) < sys.float_info.min else layout


def chatter():
    while True:
        os.write(2, b"x" * 65536)


def on_run(request, reply, count):
    """Do what the mode says in place of answering, or return what to answer."""
    number, result = request["id"], reply["result"]
    if (
        MODE in ("hang", "chatter and hang")
        or (MODE == "hang at times" and count == 2)
        or (MODE == "hang once" and count == 2 and not os.path.exists(sys.argv[2]))
    ):
        if MODE == "hang once":
            Path(sys.argv[2]).touch()
        hang()
    elif MODE == "die":
        os.kill(os.getpid(), signal.SIGSEGV)
    elif MODE == "die in the middle" and count == 2:
        say(json.dumps(reply)[:50])
        sys.stderr.write("out of memory\n")
        os._exit(7)
    elif MODE == "garbage":
        say("loss: 0.25\n")
    elif MODE == "bytes":
        os.write(1, b"\xff\xfe\x00\x1b[2J\n")
    elif MODE == "deep":
        say("[" * 100_000 + "\n")
    elif MODE == "no newline":
        while True:
            os.write(1, b"0" * 65536)
    elif MODE == "drip":
        threading.Thread(target=hang, daemon=True).start()
        while True:
            say(" ")
            time.sleep(0.01)
    elif MODE == "wrong id":
        reply["id"] = number + 100
    elif MODE == "twice":
        say(json.dumps(reply) + "\n")
    elif MODE == "no answer":
        reply = {"id": number, "answer": 42}
    elif MODE == "two answers":
        reply["error"] = "and a result"
    elif MODE == "nan":
        result["cost"] = "nan"
    elif MODE == "JSON nan":
        result["cost"] = float("nan")
    elif MODE == "overflow":
        result["gradients"]["vector"]["values"][0] = "0x1p+5000"
    elif MODE == "decimal":
        result["cost"] = 0.25
    elif MODE == "shape":
        result["gradients"]["vector"]["shape"] = [7]
    elif MODE == "doubled":
        values = result["gradients"]["vector"]["values"]
        result["gradients"]["vector"]["values"] = [(2 * float.fromhex(value)).hex() for value in values]
    elif MODE in ("flat", "shape of another"):
        result["gradients"]["vector"] = {"shape": [7], "values": ["0x1p+0"] * 7}
    elif MODE == "none":
        result["gradients"]["vector"] = None
    elif MODE == "missing":
        del result["gradients"]["vector"]
    elif MODE == "error":
        reply = {"id": number, "error": "no \x1b[31msolver\n for this"}
    elif MODE == "skip" or (MODE == "skip most" and count > 3) or (MODE == "skip some" and count <= 3):
        reply = {"id": number, "skipped": "not [/today]"}  # which must not be taken for markup
    elif MODE == "closed input":
        os.close(0)
        say(json.dumps(reply) + "\n")
        hang()
    elif MODE == "closed output":
        os.close(1)
        hang()
    elif MODE == "orphan with the pipe":
        child()  # which inherits standard output: its end is not seen
        os._exit(0)
    return reply


def main():
    if MODE == "exit at once":
        sys.exit(3)
    if MODE == "hang at start":
        hang()
    if MODE == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    if MODE == "children":
        child()
    if MODE == "children of their own":
        child(start_new_session=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    if MODE == "children without environment":
        child(
            start_new_session=True,
            env={},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        Path(sys.argv[2]).write_text(str(STARTED[-1].pid))
    if MODE.startswith("chatter"):
        threading.Thread(target=chatter, daemon=True).start()
    kept, count = None, 0
    for line in sys.stdin:
        request = json.loads(line)
        if "too few steps" in sys.argv and request["command"] == "run":
            request["problem"]["steps"] = max(request["problem"]["steps"] - 1, 0)
        if MODE.startswith("flushes"):
            request = flushed(request)
        if MODE == "too few of three steps" and request["command"] == "run" and request["problem"]["steps"] > 2:
            request["problem"]["steps"] -= 1
        if request["command"] == "stop":
            break
        try:
            reply = {"id": request["id"], "result": protocol.answer(request, harness)}
        except ValueError as error:
            reply = {"id": request["id"], "error": str(error)}
        if request["command"] == "run":
            count += 1
            reply = on_run(request, reply, count)
        elif MODE == "old" and request["command"] == "start":
            reply["result"]["protocol"] = 0
        elif MODE == "boast" and request["command"] == "capabilities":
            reply["result"]["families"] = ["transformer"]
        elif MODE == "flushes and says so" and request["command"] == "capabilities":
            reply["result"] = {**harness.CAPABILITIES, "without": ["subnormals"]}
        elif MODE == "both precisions" and request["command"] == "capabilities":
            reply["result"] = {**harness.CAPABILITIES, "dtypes": ["float64", "float32"]}
        elif MODE == "no refusal" and "error" in reply:
            reply = {"id": request["id"], "result": {}}
        elif MODE == "no echo" and request["command"] == "echo":
            reply["result"] = {}
        elif MODE == "flat echo" and request["command"] == "echo":
            reply["result"]["array"]["shape"] = [len(reply["result"]["array"]["values"])]
        elif MODE == "rounding" and request["command"] == "echo":
            values = reply["result"]["array"]["values"]
            reply["result"]["array"]["values"] = [float(f"{float.fromhex(value):.15g}").hex() for value in values]
        if MODE == "out of order" and request["command"] == "run":
            kept, reply = reply, kept
            if reply is None:
                kept, reply = None, kept | {"id": kept["id"] + 1}
        say(json.dumps(reply) + "\n")
    if MODE in ("deaf", "late"):
        hang()
    if MODE == "bad end":
        sys.exit(5)


main()
