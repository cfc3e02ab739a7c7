"""The backends that trials run on (this machine, Dask, Ray), and how those that are missing are
handed out; what a worker does with a trial belongs in `execution`.
"""
