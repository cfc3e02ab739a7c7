"""Attribution methods, for penalties in training and for trained networks; their scores belong
in `metrics`.
"""
