"""``python -m detmetrics``."""

import sys

from detmetrics.cli import main

sys.exit(main())
