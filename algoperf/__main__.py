"""`python -m algoperf` is `algoperf`."""

import sys

from algoperf.cli.main import main

sys.exit(main())
