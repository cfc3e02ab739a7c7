"""Sequences that come with names and labels, made into codes; that files are FASTA or genomes is
the business of the folder above.
"""
