"""Where trials run (this machine, Dask, Ray) and how what is missing is handed out; what a worker
does with a trial belongs in `execution`.
"""
