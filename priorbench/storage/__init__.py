"""How files reach the disk and come back: whole or not at all, and as they were written; what is in
them belongs to the folders that write them.
"""
