"""Await one session from many tasks: the loop stays free, answers of a batch arrive together."""

import asyncio
from importlib.resources import as_file, files

import inferkit
import numpy as np

FOLDER = files("inferkit") / "_demo"


async def main() -> None:
    """Classify 540 images from as many tasks, then as a stream, then give up on one."""
    with as_file(FOLDER / "digits.npz") as path, np.load(path) as data:
        images, labels = data["images"].astype(np.float32), data["labels"]

    with as_file(FOLDER / "digits.onnx") as model:
        session = await inferkit.Session.open(model)  # loads in a thread, not on the loop
    async with session:

        async def classify(index: int) -> bool:
            answer = await session.run_async({"pixels": images[index : index + 1]})
            return bool(answer["probabilities"].argmax() == labels[index])

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(classify(index)) for index in range(len(images))]
        right = sum(task.result() for task in tasks)
        print(f"tasks: {right} of {len(images)} right, in {session.stats().batches} batches")

        # A stream, in order, with a bounded number on the way at a time.
        feeds = ({"pixels": image[None]} for image in images)
        answers = [answer["probabilities"].argmax() async for answer in session.map_async(feeds)]
        print(f"stream: {sum(answers == labels)} of {len(images)} right")

        # Cancelling a task takes its request out of the line; nobody else notices.
        gone = asyncio.create_task(session.run_async({"pixels": images[:1]}))
        kept = asyncio.create_task(session.run_async({"pixels": images[1:2]}))
        gone.cancel()
        await asyncio.wait([gone, kept])
        print(f"cancelled: {gone.cancelled()}, the other got its answer: {not kept.cancelled()}")


if __name__ == "__main__":
    asyncio.run(main())
