"""Keys of a study that are tables of their own, with what each may hold; keys of one value belong
in the folder above.
"""
