"""What a worker does: trains one trial, or several at once, and writes their folders; handing out
trials belongs in `backends`.
"""
