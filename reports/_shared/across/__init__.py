"""Figures over several datasets, ranks and profiles; their tables and texts are the section's."""
