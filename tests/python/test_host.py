"""What belongs to the host is as it was, whatever inferkit did in its process."""

import json
import sys

import pytest
from programs import run_program

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, asks prctl")

# The host has settings of its own, and a thread that it made before it knew of inferkit.
HOST = """
import asyncio, ctypes, gc, json, locale, logging, os, resource, signal, sys, threading, warnings
from pathlib import Path
import numpy as np

C = ctypes.CDLL(None, use_errno=True)
PRCTL = {"parent's death": 2, "dumpable": 3, "capabilities": 7, "timing": 13, "seccomp": 21,
         "timer slack": 30, "subreaper": 37, "privileges": 39, "huge pages": 42}

def handle(*_):
    pass

def prctl(option):
    if option in (2, 37):
        told = ctypes.c_int(-1)
        C.prctl(option, ctypes.byref(told), 0, 0, 0)
        return told.value
    return C.prctl(option, 0, 0, 0, 0)

def variables_in_c():
    listed = ctypes.POINTER(ctypes.c_char_p).in_dll(C, "environ")
    found = []
    while listed[len(found)]:
        found.append(listed[len(found)].decode())
    return sorted(found)

def lines_of(task, names):
    lines = Path(f"/proc/self/task/{task}/status").read_text().splitlines()
    return [line for line in lines if line.split(":")[0] in names]

def own_facts():
    me = threading.get_native_id()
    return {
        "mask": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
        "affinity": sorted(os.sched_getaffinity(me)),
        "arithmetic": [C.fegetround(), C.fegetexcept(), float(np.float32(1e-40) * np.float32(1)),
                       float(np.float64(5e-324) * np.float64(1)), np.geterr()],
        "name": Path(f"/proc/self/task/{me}/comm").read_text(),
        "scheduling": [os.sched_getscheduler(me), os.getpriority(os.PRIO_PROCESS, me)],
        "prctl": {name: prctl(number) for name, number in PRCTL.items()},
    }

def facts():
    umask = os.umask(0)
    os.umask(umask)
    limits = [getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")]
    return {
        **own_facts(),
        "handlers": [str(signal.getsignal(number)) for number in range(1, signal.NSIG)]
        + lines_of(os.getpid(), ("SigIgn", "SigCgt")),
        "locale": [locale.setlocale(locale.LC_ALL), locale.localeconv()],
        "environment": [dict(os.environ), variables_in_c()],
        "limits": [resource.getrlimit(limit) for limit in limits],
        "umask": umask,
        "folder": os.getcwd(),
        "hooks": [str(hook) for hook in (sys.excepthook, sys.unraisablehook, threading.excepthook,
                                         sys.gettrace(), sys.getprofile())],
        "interpreter": [int(1e6 * sys.getswitchinterval() + 0.5), sys.getdlopenflags(),
                        sys.getrecursionlimit(), gc.get_threshold(), gc.isenabled(),
                        str(warnings.filters)],
        "logging": [str(logging.root.handlers), logging.root.level, logging.raiseExceptions],
    }

class Thread:
    def __init__(self):
        self.calls, self.thread = [], threading.Thread(target=self.serve, daemon=True)
        self.asked, self.done = threading.Semaphore(0), threading.Semaphore(0)
        self.thread.start()
    def serve(self):
        while True:
            self.asked.acquire()
            self.told = self.calls.pop()()
            self.done.release()
    def call(self, function):
        self.calls.append(function)
        self.asked.release()
        self.done.acquire()
        return self.told

signal.signal(signal.SIGUSR1, handle)
signal.signal(signal.SIGPIPE, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
os.umask(0o027)
os.environ["HOST"] = "the host's"
locale.setlocale(locale.LC_ALL, "C.UTF-8")
C.fesetround(0x400 if os.uname().machine == "x86_64" else 0)  # downward
thread = Thread()
asyncio.run(asyncio.sleep(0))  # its own first traces

def all_facts():
    return json.loads(json.dumps({"main": facts(), "thread": thread.call(own_facts)}))

before = all_facts()
changes = {}
def compare(moment):
    after = all_facts()
    found = [f"{who}: {name}" for who in before for name, fact in before[who].items()
             if fact != after[who][name]]
    if found:
        changes[moment] = found
"""

USE = """
import inferkit
compare("import")
import onnx_models
x = np.ones((1, 512), np.float32)
async def ask(session):
    await asyncio.gather(*(session.run_async(x) for _ in range(4)))
with inferkit.Session(onnx_models.mlp_b(), instances=2, threads=3) as session:
    compare("open")
    session.run(x)
    thread.call(lambda: session.run(x))
    [each.result() for each in [session.submit(x) for _ in range(20)]]
    asyncio.run(ask(session))
    compare("run")
compare("close")
"""

TELL = "print(json.dumps(changes))"

# A change of each, and who is to see it.
SPOILERS = {
    "signal.signal(signal.SIGUSR1, signal.SIG_DFL)": ["main: handlers"],
    "C.signal(signal.SIGUSR1, 1)": ["main: handlers"],
    "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])": ["main: mask"],
    "thread.call(lambda: signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR2]))": [
        "thread: mask"
    ],
    "os.sched_setaffinity(0, list(os.sched_getaffinity(0))[:1])": ["main: affinity"],
    "C.fesetround(0)": ["main: arithmetic"],
    "np.seterr(all='raise')": ["main: arithmetic"],
    "locale.setlocale(locale.LC_ALL, 'C')": ["main: locale"],
    "os.environ['ORT'] = '1'": ["main: environment"],
    "C.setenv(b'ORT', b'2', 1)": ["main: environment"],
    "resource.setrlimit(resource.RLIMIT_CORE, (0, 0))": ["main: limits"],
    "os.umask(0)": ["main: umask"],
    "os.chdir('/')": ["main: folder"],
    "thread.call(lambda: C.prctl(15, b'inferkit', 0, 0, 0))": ["thread: name"],
    "C.prctl(29, 12345, 0, 0, 0)": ["main: prctl"],
    "os.setpriority(os.PRIO_PROCESS, 0, 19)": ["main: scheduling"],
    "sys.unraisablehook = print": ["main: hooks"],
    "sys.setdlopenflags(0x102)": ["main: interpreter"],
    "logging.basicConfig()": ["main: logging"],
}


def changes_by(code: str) -> dict[str, list[str]]:
    status, told, complaints = run_program(HOST + code + TELL)
    assert (status, complaints) == (0, ""), complaints
    changes = json.loads(told)
    assert isinstance(changes, dict)
    return changes


def test_a_session_leaves_the_host_as_it_was() -> None:
    assert changes_by(USE) == {}


def test_each_change_would_be_seen() -> None:
    """All of them in one process, each compared with the moment before."""
    code = "".join(
        f"before = all_facts()\n{spoiler}\ncompare({spoiler!r})\n" for spoiler in SPOILERS
    )
    # Only one core, the lowest priority or no core files: then there is nothing to change.
    may_miss = {"main: affinity", "main: scheduling", "main: limits"}
    seen = changes_by(code)
    for spoiler, expected in SPOILERS.items():
        assert seen.get(spoiler, expected if may_miss & {*expected} else []) == expected
