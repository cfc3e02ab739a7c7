"""Studies: grids of trials that answer a question with one command."""
