"""What a prior, task, architecture, metric or section must provide, how it is written as text and
found by name; the components themselves belong in their own folders.
"""
