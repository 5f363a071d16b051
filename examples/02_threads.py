"""Call one session from many threads, as a threaded web server would: batches form themselves."""

from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from importlib.resources import as_file, files

import inferkit
import numpy as np

FOLDER = files("inferkit") / "_demo"
THREADS = 16


def main() -> None:
    """Classify 540 images from 16 threads, then by futures, then look at the batches."""
    with as_file(FOLDER / "digits.npz") as path, np.load(path) as data:
        images, labels = data["images"].astype(np.float32), data["labels"]

    with as_file(FOLDER / "digits.onnx") as model, inferkit.Session(model) as session:

        def classify(index: int) -> bool:
            # Blocks this thread only. Whoever calls at the same time shares the batch.
            answer = session.run({"pixels": images[index : index + 1]})
            return bool(answer["probabilities"].argmax() == labels[index])

        with ThreadPoolExecutor(THREADS) as pool:
            right = sum(pool.map(classify, range(len(images))))
        print(f"threads: {right} of {len(images)} right")

        # submit() returns a concurrent.futures.Future: one thread can have many on the way.
        futures: dict[Future[inferkit.Result], int] = {
            session.submit({"pixels": image[None]}): label
            for image, label in zip(images, labels, strict=True)
        }
        right = 0
        for future in as_completed(futures):
            right += int(future.result()["probabilities"].argmax() == futures[future])
        print(f"futures: {right} of {len(images)} right")

        stats = session.stats()
        print(f"{stats.answered} requests answered in {stats.batches} batches")
        for rows, batches in sorted(stats.batch_sizes.items()):
            print(f"  of {rows:>2} rows: {batches}")


if __name__ == "__main__":
    main()
