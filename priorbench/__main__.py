"""The program `priorbench`, which is ``python -m priorbench`` as well."""

import sys

from priorbench.machine.signals import ends_in_one_line

_GOES_ON = ("run", "score", "fetch")
"""commands that do only what is missing when they are given again"""


def main() -> None:
    """Run the command line; told to end, even while it is imported, say so in one line."""
    command = next((word for word in sys.argv[1:] if not word.startswith("-")), "")
    more = "; the same command goes on where it stopped" if command in _GOES_ON else ""
    with ends_in_one_line(f"interrupted{more}"):
        from priorbench.cli.app import main as run_command_line

        run_command_line()


if __name__ == "__main__":
    main()
