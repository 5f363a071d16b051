"""The questions asked: one module each."""
