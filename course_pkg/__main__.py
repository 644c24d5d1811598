"""``python -m course_pkg`` is ``course``."""

import sys

from course_pkg.cli import main

if __name__ == "__main__":
    sys.exit(main())
