"""``python -m priorbench`` is the command line."""

from priorbench.cli.app import main

main()
