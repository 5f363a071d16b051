"""A pool of multiprocessing whose workers serve a model each; ``serve`` runs in an own process."""

import multiprocessing
import sys

import inferkit
import numpy as np
import onnx_models

ROWS = 16
inherited: inferkit.Session | None = None
own: inferkit.Session | None = None


def open_in_worker() -> None:
    global own
    own = inferkit.Session(onnx_models.mlp_a(), instances=1)


def ask_own(seed: int) -> inferkit.Result:
    assert own is not None
    future = own.submit(feeds(seed))
    assert np.array_equal(future.result()["y"], own.run(feeds(seed))["y"])
    return own.run(feeds(seed))


def ask_inherited(seed: int) -> str:
    if inherited is None:
        return "none inherited"
    try:
        inherited.run(feeds(seed))
    except inferkit.ForkedSessionError:
        return "refused"
    return "answered"


def feeds(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((1, 32)).astype(np.float32)


def serve(method: str) -> None:
    """Prints whether the workers' answers are the parent's, and what became of its session there.

    Each worker is replaced after eight requests.
    """
    global inherited
    inherited = inferkit.Session(onnx_models.mlp_a())
    context = multiprocessing.get_context(method)
    busy = [inherited.submit(feeds(seed)) for seed in range(ROWS)]
    with context.Pool(2, open_in_worker, maxtasksperchild=8) as pool:
        answers = pool.map(ask_own, range(ROWS), chunksize=1)
        refusals = set(pool.map(ask_inherited, range(ROWS), chunksize=1))
        pool.close()
        pool.join()
    pairs = zip(answers, busy, strict=True)
    same = all(np.allclose(ours["y"], theirs.result()["y"], rtol=1e-5) for ours, theirs in pairs)
    inherited.close()
    stats = inherited.stats()
    print(same, refusals, stats.accepted == stats.answered == ROWS, file=sys.stdout)
