"""`relay`, and `python -m relay`.

A process that renders begins with what the main module imports, so this one imports nothing before it runs: the command
line with all that it needs would take 100 MB in each of them.
"""

from __future__ import annotations

import os


def main() -> None:
    """Run the command line."""
    # Pages are worked on side by side; threads inside one would wait for each other. numpy reads it when it loads.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from relay import cli  # noqa: PLC0415 - said above

    cli.main()


if __name__ == "__main__":
    main()
