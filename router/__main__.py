"""``python -m router`` is the command ``router``."""

import sys

from router.cli import main

sys.exit(main())
