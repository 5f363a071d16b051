"""Open a model, look at it, run it: one image, several at once, and every one of an iterable."""

from importlib.resources import as_file, files

import inferkit
import numpy as np

DIGITS = files("inferkit") / "_demo" / "digits.onnx"  # pixels [N, 64] -> probabilities [N, 10]


def seven() -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """Draw a 7 as one row of 8 x 8 pixels, each from 0 to 16."""
    image = np.zeros((8, 8), np.float32)
    image[0:2, 1:7] = 14
    for line, column in enumerate((5, 5, 4, 4, 3, 3), start=2):
        image[line, column - 1 : column + 1] = 14
    return image.reshape(1, 64)


def main() -> None:
    """Run the model in the three plain ways."""
    with as_file(DIGITS) as model, inferkit.Session(model) as session:
        print("takes  ", session.inputs)
        print("returns", session.outputs)

        # One row: the batch axis is always there, as in onnxruntime.
        result = session.run({"pixels": seven()})
        probabilities = result["probabilities"]
        print(f"a {probabilities.argmax()}, {probabilities.max():.0%} sure")

        # Several rows in one request come back as several rows. A model with one input also takes
        # the bare array.
        several = np.repeat(seven(), 5, axis=0)
        print("five rows:", session.run(several)["probabilities"].argmax(axis=1))

        # Every item of an iterable, in order, with a bounded number on the way at a time.
        shades = ({"pixels": seven() * np.float32(i / 100)} for i in range(25, 101))
        sure = [answer["probabilities"].max() for answer in session.map(shades)]
        print(f"{len(sure)} shades of it: {min(sure):.0%} to {max(sure):.0%} sure")


if __name__ == "__main__":
    main()
