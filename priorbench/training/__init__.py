"""The training loop of one network and its schedules; several networks at once belong in
`ensemble`.
"""
