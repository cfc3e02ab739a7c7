"""Scores as papers define them, so that numbers can be held against theirs; what is
judged by default is in the modules beside this folder.
"""
