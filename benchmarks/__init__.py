"""inferkit beside onnxruntime and the batchers people write or install."""
