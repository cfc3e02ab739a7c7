"""What `priorbench fetch` downloads, from lists that come with the program; reading it is for
readers.
"""
