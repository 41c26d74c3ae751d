"""`python -m seglab` is the command `seglab`."""

from __future__ import annotations

import sys

from seglab.cli import main

sys.exit(main())
