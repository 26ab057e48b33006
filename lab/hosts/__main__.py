"""`python -m lab.hosts` is `bin/lab host`."""

from __future__ import annotations

import sys

from .cli import main

sys.exit(main())
