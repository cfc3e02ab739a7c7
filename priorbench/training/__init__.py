"""The training loop of a network and its schedules; what trains several at once belongs in
`ensemble`.
"""
