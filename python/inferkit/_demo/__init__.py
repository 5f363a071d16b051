"""What ``inferkit demo`` runs: two real jobs, each beside onnxruntime in the same run.

Reading order: ``digits`` and ``filetypes`` are the jobs, ``contest`` measures both sides,
``callers`` are the 64 concurrent callers, ``report`` prints. digits.onnx and digits.npz were
written by ``tests/python/train_digits.py``.
"""
