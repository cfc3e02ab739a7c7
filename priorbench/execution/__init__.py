"""What a worker does: trains one trial, or several at once, and writes their folders; who hands
out trials belongs in `backends`.
"""
