"""``python -m inferkit``: the same as the ``inferkit`` command."""

import sys

from .cli import main

sys.exit(main())
