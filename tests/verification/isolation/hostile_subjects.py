"""Subjects that do harm: each answers rightly, but for what its name says.

They run in processes of their own, on NumPy and the standard library alone, and are asked `no-steps`, whose right
answer takes no inner loop.
"""

import atexit
import ctypes
import fcntl
import importlib
import locale
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import threading
import time

import numpy as np

FOREVER = 1000


def right(problem):
    """Return the right answer to a problem without an inner step."""
    tasks = [outer for _, outer in problem.tasks()]
    gradients = [problem.outer_gradient(outer, problem.variables) for outer in tasks]
    cost = sum(problem.outer_cost(outer, problem.variables) for outer in tasks) / len(tasks)
    return cost, {chain: sum(entry[chain] for entry in gradients) / len(tasks) for chain in gradients[0]}


def held():
    """Hold the lock that tells the clock of the tests to let time pass."""
    descriptor = os.open(os.environ["PROTOCOL_HANGS"], os.O_WRONLY | os.O_CREAT)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    os.set_inheritable(descriptor, True)


# What ends the process


def exits_at_once(problem):
    os._exit(0)


def exits_with_seven(problem):
    os._exit(7)


def raises_system_exit(problem):
    sys.exit(0)


def becomes_another_program(problem):
    os.execv("/bin/true", ["true"])


def becomes_another_program_that_stays(problem):
    held()
    os.execv("/bin/sleep", ["sleep", str(FOREVER)])


def exits_at_the_end(problem):
    atexit.register(os._exit, 0)
    return right(problem)


def follows_a_null_pointer(problem):
    ctypes.string_at(0)


def aborts(problem):
    os.abort()


def kills_itself(problem):
    os.kill(os.getpid(), signal.SIGKILL)


def divides_by_zero_in_the_processor(problem):
    os.kill(os.getpid(), signal.SIGFPE)


def raises_the_recursion_limit(problem):
    sys.setrecursionlimit(10**9)

    def deeper(number):
        return [*deeper(number + 1), number]

    return deeper(0)


def ends_from_a_thread(problem):
    thread = threading.Thread(target=os._exit, args=(3,))
    thread.start()
    time.sleep(FOREVER)


# What never returns


def loops_for_ever(problem):
    held()
    while True:
        pass


def sleeps_for_ever(problem):
    held()
    time.sleep(FOREVER)


def waits_for_a_lock(problem):
    held()
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


def stops_itself(problem):
    held()
    os.kill(os.getpid(), signal.SIGSTOP)


def waits_for_input(problem):
    held()
    reading, _ = os.pipe()
    os.read(reading, 1)


def ignores_signals_and_sleeps(problem):
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    held()
    time.sleep(FOREVER)


# What raises


class OwnError(BaseException):
    """Derived from what nobody catches."""


class UnprintableError(Exception):
    """Cannot be shown."""

    def __str__(self):
        raise ValueError("not even this")


def raises_from_the_base(problem):
    raise OwnError("of its own")


def raises_keyboard_interrupt(problem):
    raise KeyboardInterrupt


def raises_generator_exit(problem):
    raise GeneratorExit


def raises_what_cannot_be_shown(problem):
    raise UnprintableError


def raises_with_odd_notes(problem):
    error = ValueError("noted")
    error.__notes__ = 7
    raise error


def raises_a_long_message(problem):
    raise ValueError("x" * 10**8)


def raises_escapes(problem):
    raise ValueError("\x1b[2J\x1b[31mred\x07 \u202e")


def raises_half_a_surrogate(problem):
    raise ValueError("\ud800")


def recurses(problem):
    return recurses(problem)


# What the judge's part of the process stands on


def closes_standard_output(problem):
    sys.stdout.close()
    os.close(1)
    return right(problem)


def closes_every_descriptor(problem):
    os.closerange(0, 256)
    return right(problem)


def closes_standard_input(problem):
    os.close(0)
    return right(problem)


def writes_to_standard_output(problem):
    os.write(1, b'{"id": 3, "result": {}}\n')
    print('{"id": 4, "result": {}}')
    sys.__stdout__.write("\x1b[2Jchatter\n")
    return right(problem)


def prints_without_end(problem):
    answer = right(problem)
    line = "x" * 1000
    for _ in range(1000):
        print(line, file=sys.stderr)
    return answer


def lowers_the_recursion_limit(problem):
    answer = right(problem)
    sys.setrecursionlimit(60)
    return answer


def patches_numpy(problem):
    answer = right(problem)
    np.linalg.norm = lambda *_, **__: 0.0
    np.array_equal = lambda *_, **__: True
    np.isnan = lambda array: np.zeros(np.shape(array), bool)
    return 2 * answer[0], {chain: 2 * leaf for chain, leaf in answer[1].items()}


def patches_the_judge(problem):
    from verification.judging import comparison

    comparison.compare = lambda *_, **__: ([], 0.0)
    return 2 * right(problem)[0], right(problem)[1]


def patches_the_reference(problem):
    import refmaml.reference

    importlib.import_module("verification.judging.truth")
    refmaml.reference.fomaml_step = lambda *_, **__: (0.0, {})
    return 2 * right(problem)[0], right(problem)[1]


def patches_json(problem):
    import json

    json.dumps = json.loads = lambda *_, **__: "{}"
    return right(problem)


def patches_what_is_built_in(problem):
    import builtins

    answer = right(problem)
    builtins.len = builtins.isinstance = None
    return answer


def changes_folder_and_locale(problem):
    os.chdir("/")
    locale.setlocale(locale.LC_ALL, "")
    return right(problem)


def limits_its_files(problem):
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
    return right(problem)


def turns_errors_of_numpy_on(problem):
    np.seterr(all="raise")
    return right(problem)


# What it leaves behind


def leaves_a_thread(problem):
    threading.Thread(target=time.sleep, args=(FOREVER,)).start()
    return right(problem)


def leaves_a_child(problem):
    subprocess.Popen(["sleep", str(FOREVER)])
    return right(problem)


def leaves_a_child_of_another_session(problem):
    subprocess.Popen(["sleep", str(FOREVER)], start_new_session=True, env={})
    return right(problem)


def leaves_a_worker(problem):
    worker = multiprocessing.get_context("fork").Process(target=time.sleep, args=(FOREVER,))
    worker.start()
    return right(problem)


def forks_and_both_return(problem):
    answer = right(problem)
    os.fork()
    return answer


def leaves_a_thread_that_chatters(problem):
    def chatter():
        while True:
            os.write(2, b"x" * 1000)

    threading.Thread(target=chatter, daemon=True).start()
    return right(problem)


# What it does to the machine


def eats_memory(problem):
    eaten = []
    while True:
        eaten.append(np.ones(2**20))


def eats_memory_in_a_child(problem):
    code = "eaten = []\nwhile True: eaten.append(b'x' * 2**23)"
    subprocess.run([sys.executable, "-S", "-c", code], check=False)
    return right(problem)


def asks_for_an_absurd_array(problem):
    return np.zeros(2**60), right(problem)[1]


# What it does to its arguments


def empties_the_variables(problem):
    answer = right(problem)
    problem.variables.clear()
    return answer


def pops_a_key_of_the_batch(problem):
    answer = right(problem)
    problem.batch["support"].pop("x")
    return answer


def replaces_leaves_by_lists(problem):
    answer = right(problem)
    for chain, leaf in problem.variables.items():
        problem.variables[chain] = leaf.tolist()
    return answer


def puts_a_leaf_into_the_variables(problem):
    answer = right(problem)
    problem.variables["extra"] = np.zeros(3)
    return answer


def writes_into_the_batch(problem):
    answer = right(problem)
    problem.batch["query"]["x"][...] = 0.0
    return answer
