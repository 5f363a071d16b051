"""The one source of the version: pyproject.toml and CMakeLists.txt read this line."""

__version__ = "0.1.0"
