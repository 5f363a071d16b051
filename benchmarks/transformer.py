"""A sentence transformer of all-MiniLM-L6-v2's shape, with made-up weights: only its time counts.

Sizes are those of that model's published config.json.
"""

import numpy as np
import onnx
from onnx import numpy_helper

TOKENS, VOCABULARY = 32, 30_522
WIDTH, HEADS, INNER, LAYERS = 384, 12, 1536, 6

_HEAD = """<ir_version: 8, opset_import: ["" : 17]>
transformer (int64[batch, {tokens}] x) => (float[batch, {width}] y) {{
  words = Gather(vocabulary, x)
  placed = Add(words, places)
  h0 = LayerNormalization(placed, scale, shift)
"""
_LAYER = """
  q{i} = MatMul(h{i}, wq{i})
  k{i} = MatMul(h{i}, wk{i})
  v{i} = MatMul(h{i}, wv{i})
  qs{i} = Reshape(q{i}, split)
  ks{i} = Reshape(k{i}, split)
  vs{i} = Reshape(v{i}, split)
  qh{i} = Transpose<perm = [0, 2, 1, 3]>(qs{i})
  kh{i} = Transpose<perm = [0, 2, 3, 1]>(ks{i})
  vh{i} = Transpose<perm = [0, 2, 1, 3]>(vs{i})
  scores{i} = MatMul(qh{i}, kh{i})
  scaled{i} = Div(scores{i}, root)
  heeded{i} = Softmax<axis = -1>(scaled{i})
  context{i} = MatMul(heeded{i}, vh{i})
  back{i} = Transpose<perm = [0, 2, 1, 3]>(context{i})
  joined{i} = Reshape(back{i}, join)
  mixed{i} = MatMul(joined{i}, wo{i})
  added{i} = Add(mixed{i}, h{i})
  normed{i} = LayerNormalization(added{i}, scale, shift)
  wide{i} = MatMul(normed{i}, w1{i})
  part{i} = Div(wide{i}, sqrt2)
  erf{i} = Erf(part{i})
  more{i} = Add(erf{i}, one)
  gated{i} = Mul(wide{i}, more{i})
  gelu{i} = Mul(gated{i}, half)
  narrow{i} = MatMul(gelu{i}, w2{i})
  summed{i} = Add(narrow{i}, normed{i})
  h{next} = LayerNormalization(summed{i}, scale, shift)
"""
_TAIL = "  y = ReduceMean<axes = [1], keepdims = 0>(h{layers})\n}}"


def transformer(seed: int = 0) -> bytes:
    """``x[batch, 32]`` (int64, below ``VOCABULARY``) to ``y[batch, 384]``, the tokens' mean."""
    layers = "".join(_LAYER.format(i=i, next=i + 1) for i in range(LAYERS))
    head = _HEAD.format(tokens=TOKENS, width=WIDTH)
    model = onnx.parser.parse_model(head + layers + _TAIL.format(layers=LAYERS))
    random = np.random.default_rng(seed)

    def add(name: str, value: np.ndarray) -> None:
        model.graph.initializer.append(numpy_helper.from_array(value, name))

    def weights(name: str, fan_in: int, fan_out: int) -> None:
        matrix = random.standard_normal((fan_in, fan_out), dtype=np.float32)
        add(name, matrix / np.float32(np.sqrt(fan_in)))

    weights("vocabulary", VOCABULARY, WIDTH)
    weights("places", TOKENS, WIDTH)
    for i in range(LAYERS):
        for name in ("wq", "wk", "wv", "wo"):
            weights(f"{name}{i}", WIDTH, WIDTH)
        weights(f"w1{i}", WIDTH, INNER)
        weights(f"w2{i}", INNER, WIDTH)
    add("scale", np.ones(WIDTH, np.float32))
    add("shift", np.zeros(WIDTH, np.float32))
    add("split", np.array([0, TOKENS, HEADS, WIDTH // HEADS]))
    add("join", np.array([0, TOKENS, WIDTH]))
    constants = {"root": (WIDTH / HEADS) ** 0.5, "sqrt2": 2**0.5, "one": 1.0, "half": 0.5}
    for name, value in constants.items():
        add(name, np.array(value, np.float32))
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))
