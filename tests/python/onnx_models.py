"""Small ONNX graphs, built in code, for tests and benchmarks.

Every builder returns the serialised model as ``bytes``: pass it to ``inferkit.Session`` or to
``onnxruntime.InferenceSession`` as it is, or write it to a file with ``Path.write_bytes``.
Weights come from a fixed seed, so two builds of one graph are the same bytes. ``"batch"`` is the
name of the open batch axis; one row is one index along it.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

MLP_A = (32, 64, 1)
"""Widths of the tiny model (a)."""

MLP_B = (512, 1024, 1024, 256)
"""Widths of the medium model (b)."""

NUMERIC_DTYPES = (
    "bool",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "int8",
    "int16",
    "int32",
    "int64",
    "float16",
    "float32",
    "float64",
)
"""numpy's names of the element types that inferkit takes."""

NOT_A_MODEL = b"these bytes are no protocol buffer of ONNX"
"""What a corrupt file holds."""

Dim = int | str

_OPSET = 17
_IR_VERSION = 8  # read by every onnxruntime that inferkit supports


def mlp(widths: Sequence[int] = MLP_A, seed: int = 0) -> bytes:
    """Fully connected layers with ReLU between them: ``x[batch, first] -> y[batch, last]``."""
    random = np.random.default_rng(seed)
    nodes, weights = [], []
    flowing = "x"
    for layer, (fan_in, fan_out) in enumerate(pairwise(widths)):
        scale = np.float32(np.sqrt(2.0 / fan_in))
        matrix = random.standard_normal((fan_in, fan_out), dtype=np.float32) * scale
        bias = random.standard_normal(fan_out, dtype=np.float32) * np.float32(0.1)
        weights += [_constant(f"w{layer}", matrix), _constant(f"b{layer}", bias)]
        out = "y" if layer == len(widths) - 2 else f"g{layer}"
        nodes.append(helper.make_node("Gemm", [flowing, f"w{layer}", f"b{layer}"], [out]))
        if out != "y":
            nodes.append(helper.make_node("Relu", [out], [f"h{layer}"]))
        flowing = f"h{layer}"
    return _model(
        nodes,
        [_tensor("x", "float32", ["batch", widths[0]])],
        [_tensor("y", "float32", ["batch", widths[-1]])],
        weights,
    )


def mlp_a() -> bytes:
    """Model (a): 32-64-1, a call that costs a few microseconds."""
    return mlp(MLP_A)


def mlp_b() -> bytes:
    """Model (b): 512-1024-1024-256, 7.3 MB, a call that costs some hundred microseconds."""
    return mlp(MLP_B)


def identity(dtype: str = "float32", shape: Sequence[Dim] = ("batch", 3)) -> bytes:
    """``y = x`` for any numpy dtype name (and ``"string"``, which inferkit refuses)."""
    return _model(
        [helper.make_node("Identity", ["x"], ["y"])],
        [_tensor("x", dtype, shape)],
        [_tensor("y", dtype, shape)],
    )


def square() -> bytes:
    """``y = x - transpose(x)`` for ``x[n, n]``: any probe with other sizes fails."""
    square = ["n", "n"]
    return _model(
        [
            helper.make_node("Transpose", ["x"], ["turned"]),
            helper.make_node("Sub", ["x", "turned"], ["y"]),
        ],
        [_tensor("x", "float32", square)],
        [_tensor("y", "float32", square)],
    )


def passes_an_input_on(rows: int | str = "batch") -> bytes:
    """``ids[rows, 2]`` (int64), which is an output as well, and ``y = -ids``."""
    ids = _tensor("ids", "int64", [rows, 2])
    return _model(
        [helper.make_node("Neg", ["ids"], ["y"])], [ids], [ids, _tensor("y", "int64", [rows, 2])]
    )


def many_inputs_and_outputs() -> bytes:
    """Three inputs of two dtypes, three outputs.

    ``left[batch, 3]``, ``right[batch, 3]`` (float32), ``count[batch]`` (int64) give
    ``total = left + right``, ``difference = left - right`` and ``twice = 2 * count``.
    """
    return _model(
        [
            helper.make_node("Add", ["left", "right"], ["total"]),
            helper.make_node("Sub", ["left", "right"], ["difference"]),
            helper.make_node("Mul", ["count", "two"], ["twice"]),
        ],
        [
            _tensor("left", "float32", ["batch", 3]),
            _tensor("right", "float32", ["batch", 3]),
            _tensor("count", "int64", ["batch"]),
        ],
        [
            _tensor("total", "float32", ["batch", 3]),
            _tensor("difference", "float32", ["batch", 3]),
            _tensor("twice", "int64", ["batch"]),
        ],
        [_constant("two", np.array(2, dtype=np.int64))],
    )


def sum_of_inputs(count: int) -> bytes:
    """``y = x0 + x1 + ...``: as many inputs ``[batch, 3]`` of float32 as that."""
    names = [f"x{i}" for i in range(count)]
    return _model(
        [helper.make_node("Sum", names, ["y"])],
        [_tensor(name, "float32", ["batch", 3]) for name in names],
        [_tensor("y", "float32", ["batch", 3])],
    )


def fixed_batch(rows: int = 1, width: int = 3) -> bytes:
    """``y = x + x`` whose axis 0 is fixed to ``rows``: served unbatched."""
    return _model(
        [helper.make_node("Add", ["x", "x"], ["y"])],
        [_tensor("x", "float32", [rows, width])],
        [_tensor("y", "float32", [rows, width])],
    )


def scalar_output() -> bytes:
    """``total`` (rank 0) is the sum over the whole of ``x[batch, 3]``: served unbatched."""
    return _model(
        [helper.make_node("ReduceSum", ["x"], ["total"], keepdims=0)],
        [_tensor("x", "float32", ["batch", 3])],
        [_tensor("total", "float32", [])],
    )


def gather(entries: int = 16, width: int = 4) -> bytes:
    """Looks up ``ids[batch]`` (int64) in a table: ``y[batch, width]``, ``y[i] = ids[i]``.

    An id outside ``-entries .. entries - 1`` makes onnxruntime fail the whole run, so one bad
    request spoils the batch that it travels in.
    """
    table = np.repeat(np.arange(entries, dtype=np.float32)[:, None], width, axis=1)
    return _model(
        [helper.make_node("Gather", ["table", "ids"], ["y"], axis=0)],
        [_tensor("ids", "int64", ["batch"])],
        [_tensor("y", "float32", ["batch", width])],
        [_constant("table", table)],
    )


def zeros() -> bytes:
    """``y`` = as many zeros as ``length`` says: memory as the caller likes."""
    return _model(
        [helper.make_node("ConstantOfShape", ["length"], ["y"])],
        [_tensor("length", "int64", [1])],
        [_tensor("y", "float32", ["n"])],
    )


def equal_widths() -> bytes:
    """``y = left + right`` for ``left[batch, n]``, ``right[batch, m]``: the run fails unless n = m.

    onnxruntime calls that a failure (code 1) and not an invalid argument, as ``gather`` does.
    """
    return _model(
        [helper.make_node("Add", ["left", "right"], ["y"])],
        [_tensor("left", "float32", ["batch", "n"]), _tensor("right", "float32", ["batch", "m"])],
        [_tensor("y", "float32", ["batch", "n"])],
    )


def row_coupled() -> bytes:
    """``y = x - max over all rows of x``: every row's answer depends on its batch."""
    return _model(
        [
            helper.make_node("ReduceMax", ["x"], ["highest"], axes=[0], keepdims=1),
            helper.make_node("Sub", ["x", "highest"], ["y"]),
        ],
        [_tensor("x", "float32", ["batch", 3])],
        [_tensor("y", "float32", ["batch", 3])],
    )


OVER_ROWS: dict[str, list[tuple[str, list[str], list[str], dict[str, int | list[int]]]]] = {
    "doubled": [("Add", ["x", "x"], ["y"], {})],
    "running sum": [("CumSum", ["x", "zero"], ["y"], {})],
    "running sum from the end": [("CumSum", ["x", "zero"], ["y"], {"reverse": 1})],
    "softmax": [("Softmax", ["x"], ["y"], {"axis": 0})],
    "mean": [("ReduceMean", ["x"], ["all"], {"axes": [0]}), ("Sub", ["x", "all"], ["y"], {})],
    "sorted": [
        ("Shape", ["x"], ["rows"], {"start": 0, "end": 1}),
        ("TopK", ["x", "rows"], ["y", "order"], {"axis": 0}),
    ],
    "sorted rows, each once": [("Unique", ["x"], ["y"], {"axis": 0})],
    "rows, each once": [("Unique", ["x"], ["y"], {"axis": 0, "sorted": 0})],
    "scaled where one is above 1": [
        ("Abs", ["x"], ["sizes"], {}),
        ("ReduceMax", ["sizes"], ["largest"], {"axes": [0]}),
        ("Max", ["largest", "scale"], ["divisor"], {}),
        ("Div", ["x", "divisor"], ["y"], {}),
    ],
    "normalised": [
        (
            "BatchNormalization",
            ["x", "scale", "shift", "mean", "variance"],
            ["y", "means", "variances"],
            {"training_mode": 1},
        )
    ],
}
"""What `over_rows` can do along axis 0, as nodes; all but "doubled" mix rows."""


def over_rows(kind: str, width: int = 3) -> bytes:
    """``y`` of ``x[batch, width]``, made as ``OVER_ROWS`` says."""
    used = {name for _, inputs, _, _ in OVER_ROWS[kind] for name in inputs}
    columns = (
        "scale",
        "shift",
        "mean",
        "variance",
    )  # all different: ONNX Runtime shares equal ones
    constants = [
        _constant(name, np.full(width, value, dtype=np.float32))
        for value, name in enumerate(columns, 1)
    ]
    constants.append(_constant("zero", np.array(0, dtype=np.int64)))
    return _model(
        [helper.make_node(name, ins, outs, **more) for name, ins, outs, more in OVER_ROWS[kind]],
        [_tensor("x", "float32", ["batch", width])],
        [_tensor("y", "float32", ["batch", width])],
        [constant for constant in constants if constant.name in used],
    )


def dynamic_quantised(width: int = 16, seed: int = 0) -> bytes:
    """A dynamically quantised layer: the scale of ``x`` is taken over all rows of the batch."""
    random = np.random.default_rng(seed)
    matrix = random.integers(-127, 128, (width, width), dtype=np.int8)
    return _model(
        [
            helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "scale", "zero"]),
            helper.make_node("MatMulInteger", ["q", "matrix", "zero"], ["sums"]),
            helper.make_node("Cast", ["sums"], ["wide"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["wide", "scale"], ["scaled"]),
            helper.make_node("Mul", ["scaled", "matrix_scale"], ["y"]),
        ],
        [_tensor("x", "float32", ["batch", width])],
        [_tensor("y", "float32", ["batch", width])],
        [_constant("matrix", matrix), _constant("matrix_scale", np.float32(0.01))],
    )


def random_rows() -> bytes:
    """``y = x + noise``: the same request gets another answer every time."""
    return _model(
        [
            helper.make_node("RandomNormalLike", ["x"], ["noise"]),
            helper.make_node("Add", ["x", "noise"], ["y"]),
        ],
        [_tensor("x", "float32", ["batch", 3])],
        [_tensor("y", "float32", ["batch", 3])],
    )


def transposed() -> bytes:
    """``x[rows, columns] -> y[columns, rows]``: axis 0 is open everywhere but does not batch."""
    return _model(
        [helper.make_node("Transpose", ["x"], ["y"], perm=[1, 0])],
        [_tensor("x", "float32", ["rows", "columns"])],
        [_tensor("y", "float32", ["columns", "rows"])],
    )


def two_open_dims(width: int = 4) -> bytes:
    """``x[batch, length, width]``: ``doubled`` has its shape, ``summed[batch, width]`` has not.

    Requests of different lengths may not share a batch.
    """
    return _model(
        [
            helper.make_node("Add", ["x", "x"], ["doubled"]),
            helper.make_node("ReduceSum", ["x", "inner"], ["summed"], keepdims=0),
        ],
        [_tensor("x", "float32", ["batch", "length", width])],
        [
            _tensor("doubled", "float32", ["batch", "length", width]),
            _tensor("summed", "float32", ["batch", width]),
        ],
        [_constant("inner", np.array([1], dtype=np.int64))],
    )


def slow(rounds: int = 1000, width: int = 64) -> bytes:
    """``y[batch, width]`` after ``rounds`` matrix products, some microseconds each."""
    return _model(
        [helper.make_node("Loop", ["rounds", "", "x"], ["y"], body=_spin_body(width))],
        [_tensor("x", "float32", ["batch", width])],
        [_tensor("y", "float32", ["batch", width])],
        [_constant("rounds", np.array(rounds, dtype=np.int64)), *_spin_weights(width)],
    )


def slow_on_demand(width: int = 64, columns: int = 1) -> bytes:
    """``y[batch, columns] = x[batch, 1]``, after as many rounds of work as the rows add up to.

    Rows of 0 answer at once, one row of 1e5 keeps a core busy for about a second: the request
    decides, so a test can hold an instance for as long as it needs. A row below -1 fails the run.
    """
    return _model(
        [
            helper.make_node("ReduceSum", ["x"], ["wanted"], keepdims=0),
            helper.make_node("Cast", ["wanted"], ["rounds"], to=TensorProto.INT64),
            helper.make_node("Loop", ["rounds", "", "start"], ["end"], body=_spin_body(width)),
            helper.make_node("ReduceMax", ["end"], ["most"], keepdims=0),
            helper.make_node("Less", ["x", "least"], ["is_bad"]),
            helper.make_node("Cast", ["is_bad"], ["entry"], to=TensorProto.INT64),
            helper.make_node("GatherND", ["nothing", "entry"], ["nothings"]),
            helper.make_node("Mul", ["most", "nothings"], ["vanishing"]),
            helper.make_node("Add", ["x", "vanishing"], ["y"]),
        ],
        [_tensor("x", "float32", ["batch", 1])],
        [_tensor("y", "float32", ["batch", columns])],
        [
            _constant("start", np.full((width, width), 0.5, dtype=np.float32)),
            _constant("least", np.float32(-1.0)),
            _constant("nothing", np.zeros((1, columns), dtype=np.float32)),
            *_spin_weights(width),
        ],
    )


def _spin_body(width: int) -> onnx.GraphProto:
    """One round: ``state = tanh(state @ spin)``, which stays finite however long it goes on."""
    return helper.make_graph(
        [
            helper.make_node("Identity", ["go_on"], ["go_on_out"]),
            helper.make_node("MatMul", ["state", "spin"], ["product"]),
            helper.make_node("Tanh", ["product"], ["state_out"]),
        ],
        "round",
        [
            _tensor("round", "int64", []),
            _tensor("go_on", "bool", []),
            _tensor("state", "float32", ["rows", width]),
        ],
        [_tensor("go_on_out", "bool", []), _tensor("state_out", "float32", ["rows", width])],
    )


def _spin_weights(width: int) -> list[TensorProto]:
    random = np.random.default_rng(1)
    matrix = random.standard_normal((width, width), dtype=np.float32)
    return [_constant("spin", matrix / np.float32(np.sqrt(width)))]


def _tensor(name: str, dtype: str, shape: Sequence[Dim]) -> onnx.ValueInfoProto:
    if dtype == "string":
        return helper.make_tensor_value_info(name, TensorProto.STRING, list(shape))
    element = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    return helper.make_tensor_value_info(name, element, list(shape))


def _constant(name: str, value: NDArray[np.generic] | np.generic) -> TensorProto:
    return numpy_helper.from_array(np.asarray(value), name)


def _model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    constants: Sequence[TensorProto] = (),
) -> bytes:
    graph = helper.make_graph(list(nodes), "graph", list(inputs), list(outputs), list(constants))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)])
    model.ir_version = _IR_VERSION
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))
