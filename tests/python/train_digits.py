"""Train the digits model of ``inferkit demo``: python tests/python/train_digits.py [FOLDER].

Needs scikit-learn and onnx. Writes digits.onnx (pixels float32 [N, 64], 0 to 16, to probabilities
float32 [N, 10]) and digits.npz (the held-out 30 %: images uint8 [540, 64], labels uint8 [540]).
"""

import sys
from pathlib import Path

import numpy as np
import onnx
from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier

SEED, TRAIN_SHARE, PIXEL_MAX = 20, 0.7, 16.0
GRAPH = """<ir_version: 8, opset_import: ["" : 17]>
digits (float[N, 64] pixels) => (float[N, 10] probabilities) {
  sums = Gemm(pixels, w0, b0)
  hidden = Relu(sums)
  scores = Gemm(hidden, w1, b1)
  probabilities = Softmax<axis = 1>(scores)
}"""


def split() -> list[tuple[np.ndarray, np.ndarray]]:
    """Return (images, labels), uint8, of the 70 % to train on and of the held-out 30 %."""
    images, labels = (np.asarray(part, np.uint8) for part in load_digits(return_X_y=True))
    order = np.random.RandomState(SEED).permutation(len(images))
    cut = int(len(order) * TRAIN_SHARE)
    return [(images[part], labels[part]) for part in (order[:cut], order[cut:])]


def train(images: np.ndarray, labels: np.ndarray) -> onnx.ModelProto:
    """Fit 64 pixels, 32 hidden units, 10 classes; fold the pixels' scale into the first weights."""
    network = MLPClassifier((32,), alpha=1e-3, max_iter=2000, random_state=SEED)
    network.fit(images / PIXEL_MAX, labels)
    model = onnx.parser.parse_model(GRAPH)
    network.coefs_[0] = network.coefs_[0] / PIXEL_MAX
    for name, arrays in (("w", network.coefs_), ("b", network.intercepts_)):
        for layer, array in enumerate(arrays):
            weights = onnx.numpy_helper.from_array(array.astype(np.float32), f"{name}{layer}")
            model.graph.initializer.append(weights)
    onnx.checker.check_model(model)
    return model


def main() -> None:
    """Train and write both files."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "python/inferkit/_demo")
    folder.mkdir(parents=True, exist_ok=True)
    kept, held = split()
    (folder / "digits.onnx").write_bytes(train(*kept).SerializeToString(deterministic=True))
    np.savez_compressed(folder / "digits.npz", images=held[0], labels=held[1])
    print(f"trained on {len(kept[0])} images, kept {len(held[0])} out, wrote to {folder}")


if __name__ == "__main__":
    main()
