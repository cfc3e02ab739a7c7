"""``python -m priorbench`` is the command line."""

from .cli import main

main()
