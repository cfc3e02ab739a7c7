"""What commands carry out on a study or a run; options and printing belong in cli."""
