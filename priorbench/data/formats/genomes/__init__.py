"""Genomes, opened for random access: FASTA of any layout, 2bit; readers place the windows."""
